#!/bin/sh
# Called by udhcpc.
export PATH=/bin:/sbin
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev "$interface"
ip addr add "$ip/$mask" dev "$interface"
for gateway in $router; do
	ip route add default via "$gateway" dev "$interface"
	break
done
echo "OS: address $interface $ip/$mask"
