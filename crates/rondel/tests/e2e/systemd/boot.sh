#!/usr/bin/env bash
# Boots systemd as the first process of a separate host, which shares only the network and the folder with this one.
#
# boot.sh FOLDER BINARY: FOLDER contains `units`, which are all units of the host, and `rondel.yaml`. The binary is
# installed at the path in the unit. Changes of the host are in FOLDER, or end with its last process.
set -o errexit -o nounset -o pipefail

folder=$1 binary=$2 within=${3:-nothing}

if [[ $within == nothing ]]; then
  mount --make-rprivate /
  # A control group that systemd may use as the root of all groups.
  mkdir "$folder/cgroups"
  mount -t cgroup2 none "$folder/cgroups"
  group=$folder/cgroups/$(basename "$folder")
  mkdir "$group"
  echo $$ >"$group/cgroup.procs"
  # Killing this process ends the whole host.
  exec unshare --mount --cgroup --ipc --uts --pid --fork --mount-proc --kill-child -- bash "$0" "$folder" "$binary" host
fi

mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /usr/local/bin
install --mode=755 "$binary" /usr/local/bin/rondel
cp --archive /etc "$folder/etc"
mount --bind "$folder/etc" /etc
mkdir --parents /etc/rondel
cp "$folder/rondel.yaml" /etc/rondel/rondel.yaml
# As the comment in the unit says: `useradd` would do the same, with a lock that needs a booted host.
echo 'rondel:x:64999:64999::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo 'rondel:x:64999:' >>/etc/group
export container=other SYSTEMD_UNIT_PATH=$folder/units
exec /lib/systemd/systemd --system --show-status=no
