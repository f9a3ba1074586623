#!/bin/sh
# Finds the root file system and starts it.
export PATH=/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
# Twice: buses found by the first pass bring new devices. busybox's modprobe does not know soft dependencies.
for pass in 1 2; do
	find /sys/devices -name modalias -exec cat {} + | sort -u | xargs -n 20 modprobe -a -q 2> /dev/null
done
for module in sd_mod sr_mod crc32c_generic ext4 isofs vfat nls_cp437 nls_ascii nls_utf8 button evdev; do
	modprobe -q $module
done
tries=0
until root=$(findfs LABEL=labroot 2> /dev/null); do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || { echo "OS: no root file system"; exec sh; }
	sleep 0.1
done
mount "$root" /mnt || { echo "OS: $root cannot be mounted"; exec sh; }
for folder in dev sys proc; do mount --move /$folder /mnt/$folder; done
exec switch_root /mnt /sbin/init
