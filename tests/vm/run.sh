#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs tests in a virtual machine: run.sh <directory> [arguments of pytest]
#
# Without arguments of pytest: tests/vm. Makes in <directory> a Debian with a kernel of
# its own, systemd and the Debian package of this tree (root/), and an image of it
# (disk.img); starts it by qemu, where pytest runs as root, and shows what it prints.
# Exit status 0: all passed. As root. Packages come from where this machine's own do.
#
# Environment: VM_MEMORY (1536) MiB; VM_SECONDS (3000) after which it is ended;
# VM_ACCEL (tcg,thread=multi); VM_CPUS (2).
set -eu

tree=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
root=$dir/root
shift
PATH=$PATH:/usr/sbin:/sbin
# What the guest has beyond Debian's minimum: to build with, and to test with.
PACKAGES='linux-image-amd64 initramfs-tools systemd systemd-sysv dbus kmod udev
    apache2 apache2-dev build-essential debhelper dh-apache2
    fakeroot python3-dev python3-pytest python3-venv iproute2 procps curl e2fsprogs
    openssl media-types libcap2-bin'

say() {
    printf 'vm: %s\n' "$*"
}

in_root() { # in_root <script>: what it starts ends with it
    unshare --mount --pid --fork --kill-child chroot "$root" /bin/sh -ec "
        mount -t proc proc /proc
        export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
        $1"
}

sites() { # sites: lines for sources.list, of this machine's release
    # shellcheck disable=SC1091
    code=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format "\$(SITE) \$(RELEASE) \$(COMPONENT)" | sort -u |
        awk -v code="$code" '$2 ~ "^" code && $3 == "main"'
}

make_debian() {
    say "a Debian in $root"
    rm -rf "$root"
    sites >"$dir/sites"
    main=$(awk '$2 !~ "-" { print $2, $1; exit }' "$dir/sites")
    # shellcheck disable=SC2086
    debootstrap --variant=minbase ${main%% *} "$root" ${main#* } >"$dir/debootstrap.log"
    sed 's/^/deb /' "$dir/sites" >"$root/etc/apt/sources.list"
    for file in /etc/apt/apt.conf.d/*proxy* /etc/resolv.conf; do
        if [ -e "$file" ]; then cp "$file" "$root$file"; fi
    done
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    mkdir -p "$root/etc/initramfs-tools/conf.d"
    # Few modules: the guest unpacks them at each start.
    echo 'MODULES=list' >"$root/etc/initramfs-tools/conf.d/modules"
    # shellcheck disable=SC2086
    in_root "apt-get -q update
        apt-get -qy --no-install-recommends install $(echo $PACKAGES)" >"$dir/apt.log" 2>&1
    printf '%s\n' virtio_pci virtio_blk ext4 crc32c_generic \
        >>"$root/etc/initramfs-tools/modules"
    in_root 'update-initramfs -u
        systemctl disable apache2 systemd-timesyncd 2>/dev/null || true
        systemctl mask getty@tty1.service serial-getty@ttyS0.service apt-daily.timer \
            apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
            systemd-networkd-wait-online.service
        echo "/dev/vda / ext4 noatime 0 1" >/etc/fstab' >>"$dir/apt.log" 2>&1
    echo "$PACKAGES" >"$dir/packages"
}

make_product() {
    say 'the Debian package of this tree'
    home=$root/srv/cgateway
    mkdir -p "$home"
    find "$home" -mindepth 1 -maxdepth 1 ! -name build ! -name debian -exec rm -rf {} +
    git -C "$tree" ls-files -z | tar -C "$tree" --null -T - -c | tar -C "$home" -x
    in_root 'cd /srv/cgateway && dpkg-buildpackage -b -us -uc -nc -d &&
        apt-get -qy --allow-downgrades --reinstall install \
            ../libapache2-mod-cgateway_*.deb' \
        >"$dir/package.log" 2>&1 || { tail -n 30 "$dir/package.log"; return 1; }
    touch "$root/etc/cgateway-vm"
    cp "$tree/tests/vm/cgateway-tests.service" "$root/etc/systemd/system/"
    in_root 'systemctl enable cgateway-tests' 2>/dev/null
    printf '%s\n' "$@" >"$root/srv/arguments"
}

make_image() {
    rm -f "$dir/disk.img"
    mke2fs -q -t ext4 -d "$root" -E lazy_itable_init=1,root_owner=0:0 "$dir/disk.img" 6G
}

boot() {
    say 'starting it'
    cp "$(find "$root/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)" "$dir/kernel"
    cp "$(find "$root/boot" -name 'initrd.img-*' | sort -V | tail -n 1)" "$dir/initrd"
    timeout "${VM_SECONDS:-3000}" qemu-system-x86_64 -accel "${VM_ACCEL:-tcg,thread=multi}" \
        -cpu max -smp "${VM_CPUS:-2}" -m "${VM_MEMORY:-1536}" -nodefaults -no-reboot \
        -display none -serial stdio -kernel "$dir/kernel" -initrd "$dir/initrd" \
        -append 'root=/dev/vda rw console=ttyS0 quiet mitigations=off panic=-1 systemd.show_status=0' \
        -drive "file=$dir/disk.img,if=virtio,format=raw,snapshot=on" \
        -device virtio-rng-pci </dev/null | tee "$dir/console.log"
}

if [ ! -e "$dir/packages" ] || [ "$(cat "$dir/packages")" != "$PACKAGES" ]; then
    make_debian
fi
make_product "${@:-tests/vm}"
make_image
boot || true
tr -d '\r' <"$dir/console.log" | grep -q '^vm: pytest ended with 0$'
