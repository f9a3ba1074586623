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
for module in sd_mod sr_mod raid1 crc32c_generic ext4 isofs vfat nls_cp437 nls_ascii nls_utf8 button evdev; do
	modprobe -q $module
done
# Software RAID through sysfs, without mdadm: members of one array have the same 16 bytes behind 4112.
members() {
	for part in $(sed -n 's/^ *[0-9]* *[0-9]* *[0-9]* *\([a-z].*[0-9]\)$/\1/p' /proc/partitions); do
		case $part in md*) continue ;; esac
		[ "$(dd if=/dev/$part bs=1 skip=4096 count=4 2> /dev/null | hexdump -e '4/1 "%02x"')" = fc4e2ba9 ] || continue
		echo "$(dd if=/dev/$part bs=1 skip=4112 count=16 2> /dev/null | hexdump -e '16/1 "%02x"') $(cat /sys/class/block/$part/dev)"
	done | sort
}
assemble() {
	number=0 old=
	members > /run/members
	for array in $(cut -d' ' -f1 /run/members | uniq); do
		echo md$number > /sys/module/md_mod/parameters/new_array
		md=/sys/block/md$number/md
		echo 1.2 > $md/metadata_version
		for device in $(sed -n "s/^$array //p" /run/members); do echo $device > $md/new_dev; done
		echo active > $md/array_state && echo "OS: raid md$number level=$(cat $md/level) of=$(cat $md/raid_disks) missing=$(cat $md/degraded)"
		number=$((number + 1))
	done
}
assemble
tries=0
until root=$(findfs LABEL=labroot 2> /dev/null); do
	tries=$((tries + 1))
	[ $tries -lt 100 ] || { echo "OS: no root file system"; exec sh; }
	sleep 0.1
done
mount "$root" /mnt || { echo "OS: $root cannot be mounted"; exec sh; }
for folder in dev sys proc; do mount --move /$folder /mnt/$folder; done
exec switch_root /mnt /sbin/init
