#!/usr/bin/env bash
# Boots systemd as the first process of a host of its own, which shares nothing with this one but the network and the folder.
#
# boot.sh FOLDER BINARY: FOLDER has `units`, which are all the units that there are, and `rondel.yaml`. The binary is installed where the
# unit has it. What is changed in the host is in FOLDER, or gone with its last process.
set -o errexit -o nounset -o pipefail

folder=$1 binary=$2 within=${3:-nothing}

if [[ $within == nothing ]]; then
  mount --make-rprivate /
  # A part of the control groups that systemd may take for all of them.
  mkdir "$folder/cgroups"
  mount -t cgroup2 none "$folder/cgroups"
  group=$folder/cgroups/$(basename "$folder")
  mkdir "$group"
  echo $$ >"$group/cgroup.procs"
  # Whoever ends this process ends all of the host.
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
# As the unit says to: `useradd` would do the same, with a lock that a host without a boot does not have.
echo 'rondel:x:64999:64999::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
echo 'rondel:x:64999:' >>/etc/group
export container=other SYSTEMD_UNIT_PATH=$folder/units
exec /lib/systemd/systemd --system --show-status=no
