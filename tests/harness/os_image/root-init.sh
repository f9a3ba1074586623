#!/bin/sh
# The deployed system: applies the config drive, says on the console what it found, answers on port 80 with its name.
export PATH=/bin:/sbin
mount -t tmpfs run /run
mount -o remount,rw /
say() { echo "OS: $* uptime=$(cut -d' ' -f1 /proc/uptime)"; }
firmware=bios
[ ! -d /sys/firmware/efi ] || firmware=uefi
say "booted $(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release) firmware=$firmware root=$(findfs LABEL=labroot)"
drive=$(findfs LABEL=config-2 2> /dev/null || findfs LABEL=CONFIG-2 2> /dev/null)
if [ -n "$drive" ] && mount -o ro "$drive" /mnt; then
	latest=/mnt/openstack/latest
	field() { tr -d '\n' < $latest/meta_data.json | sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p'; }
	say "configdrive $drive type=$(awk '$2 == "/mnt" { print $3 }' /proc/mounts) uuid=$(field uuid) hostname=$(field hostname)"
	hostname "$(field hostname)"
	tr -d '\n' < $latest/meta_data.json | grep -o '"public_keys" *: *{[^}]*}' | grep -o 'ssh-[a-z0-9-]* [^"\\]*' \
		> /root/.ssh/authorized_keys
	[ ! -s /root/.ssh/authorized_keys ] || say "ssh-keys $(wc -l < /root/.ssh/authorized_keys)"
	[ ! -e $latest/network_data.json ] || say "network_data $(wc -c < $latest/network_data.json) bytes"
	[ ! -e $latest/user_data ] || cp $latest/user_data /run/user_data
	umount /mnt
	if head -c 2 /run/user_data 2> /dev/null | grep -q '#!'; then
		chmod +x /run/user_data
		/run/user_data
		say "user_data status=$?"
	fi
else
	say no-configdrive
fi
if [ -e /var/lib/booted ]; then say "boot-count later"; else
	: > /var/lib/booted
	say "boot-count first"
fi
sync
say "ready host=$(hostname)"
mkdir -p /run/www
hostname > /run/www/index.html
httpd -p 80 -h /run/www
ip link set lo up
for card in $(ls /sys/class/net | grep -v '^lo$'); do
	ip link set "$card" up
	udhcpc -q -t 10 -T 1 -A 1 -i "$card" -s /sbin/dhcp > /dev/null 2>&1 &
done
mkdir -p /etc/acpi/PWRF
printf '#!/bin/sh\necho "OS: power-button"\nsync\npoweroff -f\n' > /etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080
while :; do
	acpid -f -l /dev/null -c /etc/acpi > /dev/null 2>&1
	sleep 5
done
