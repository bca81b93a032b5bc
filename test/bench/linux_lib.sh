# Shared by what measures Linux beside Thunk: Debian's cloud kernel, the modules that a guest needs,
# and its initial file system.  Sourced by linux.sh and net.sh here and by test/net/compare.sh.

# The order in which they are loaded.
LINUX_VIRTIO="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci"
LINUX_DISK="$LINUX_VIRTIO virtio_blk crc32c_generic libcrc32c crc16 mbcache jbd2 ext4"
LINUX_NET="$LINUX_VIRTIO failover net_failover virtio_net"

# linux_fetch DIRECTORY: the package, fetched and unpacked but not installed: DIRECTORY/vmlinuz, tree
# and release.  What is there already stays.
linux_fetch() {
    local package
    [ ! -f "$1/vmlinuz" ] || return 0
    mkdir -p "$1"
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
    [ -n "$package" ] || { echo "bench: apt knows no linux-image-cloud-amd64; run apt-get update" >&2; return 1; }
    (cd "$1" && apt-get download -q=2 "$package" 2>/dev/null)
    dpkg-deb -x "$1/$package"_*.deb "$1/tree"
    cp "$1"/tree/boot/vmlinuz-* "$1/vmlinuz"
    echo "${package#linux-image-}" >"$1/release"
}

# linux_modules DIRECTORY ROOT WHERE NAME...: those of NAME that are not built in, as files in
# ROOT/WHERE; ROOT/WHERE.list has their paths in the guest.
linux_modules() {
    local directory=$1 root=$2 where=$3 all name path
    shift 3
    all=$(find "$directory/tree/lib/modules" -name '*.ko' -o -name '*.ko.xz')
    mkdir -p "$root/$where"
    : >"$root/$where.list"
    for name in "$@"; do
        path=$(printf '%s\n' "$all" | grep -E "/$name\.ko" | head -1 || true)
        [ -n "$path" ] || continue
        cp "$path" "$root/$where/"
        case $path in *.xz) xz -d "$root/$where/$(basename "$path")" ;; esac
        echo "/$where/$name.ko" >>"$root/$where.list"
    done
}

# linux_net_root DIRECTORY ROOT: ROOT gets an /init that sets eth0 up, with 10.77.0.2, and becomes the
# program named by the words after "--" on the kernel's command line.
linux_net_root() {
    # shellcheck disable=SC2086
    linux_modules "$1" "$2" modules $LINUX_NET
    mkdir -p "$2"/{dev,proc,sys,tmp,run,etc}
    cp "$(command -v busybox)" "$2/busybox"
    cat >"$2/init" <<'INIT'
#!/busybox sh
b=/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
while read module; do $b insmod "$module"; done </modules.list
$b ip link set lo up
$b ip addr add 10.77.0.2/24 dev eth0
$b ip link set eth0 up
echo 4096 >/proc/sys/net/core/somaxconn
echo 8192 >/proc/sys/net/ipv4/tcp_max_syn_backlog
ulimit -n 65536
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
exec "$@"
INIT
    chmod 755 "$2/init"
}

# linux_pack ROOT FILE: the directory as an initial file system, with a console.
linux_pack() {
    mkdir -p "$1/dev"
    [ -c "$1/dev/console" ] || mknod "$1/dev/console" c 5 1 2>/dev/null || true
    (cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null) >"$2"
}
