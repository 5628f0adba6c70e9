# SPDX-License-Identifier: ISC
# shellcheck shell=bash
# lib.sh - a Linux host in an emulator: its kernel, its file system, its boot.
# Sourced by scripts that run with `set -eu` at the top of the source tree.

die() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

need() {	# COMMAND PACKAGE
	command -v "$1" >/dev/null || PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ||
	    die "no $1 here: apt-get install $2 (or make deps)"
}

# The kernel of release $1, unpacked below build/kernel; prints the directory.
# Nothing is installed: the package's files are only taken out of it.
fetch_kernel() {
	local release=$1 dir=build/kernel/$1 tmp
	if [ ! -e "$dir/done" ]; then
		need dpkg-deb dpkg
		echo "fetching Debian's package linux-image-$release" >&2
		rm -rf "$dir"
		mkdir -p build/kernel
		tmp=$(mktemp -d build/kernel/fetch.XXXXXX)
		# apt drops root for downloads; let it write here.
		chmod 777 "$tmp"
		(cd "$tmp" && apt-get -qq -o APT::Sandbox::User=root download \
		    "linux-image-$release" >&2) || {
			rm -rf "$tmp"
			die "apt-get download linux-image-$release failed;" \
			    "apt-get update may help, or another KREL"
		}
		dpkg-deb -x "$tmp"/linux-image-*.deb "$tmp/root"
		mkdir -p "$tmp/keep"
		mv "$tmp/root/boot/vmlinuz-$release" "$tmp/keep/vmlinuz"
		mv "$tmp/root/lib/modules/$release" "$tmp/keep/modules"
		touch "$tmp/keep/done"
		chmod 755 "$tmp/keep"
		mv "$tmp/keep" "$dir"
		rm -rf "$tmp"
	fi
	echo "$dir"
}

# initrd OUT [HOSTFILE:PATH ...]: busybox and these files (mode kept).
initrd() {
	local out=$1 root file
	shift
	need busybox busybox-static
	need cpio cpio
	root=$(mktemp -d build/initrd.XXXXXX)
	chmod 755 "$root"	# mktemp lets only its owner in
	mkdir -p "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/tmp"
	cp "$(command -v busybox)" "$root/bin/busybox"
	for file; do
		mkdir -p "$root/$(dirname "${file#*:}")"
		cp "${file%%:*}" "$root/${file#*:}" || die "no ${file%%:*}"
	done
	(cd "$root" && find . | sort | cpio -o -H newc -R 0:0 --quiet | gzip -1) > "$out.tmp"
	rm -rf "$root"
	mv "$out.tmp" "$out"
}

# boot SECONDS DIR KERNEL INITRD [KERNEL-ARGUMENT ...]: an AMD machine with two
# CPUs, until it powers off. DIR/console.log is the host's console and log,
# DIR/tap.log its second serial port. Fails when the time is up.
boot() {
	local seconds=$1 dir=$2 kernel=$3 initrd=$4 status=0
	shift 4
	need qemu-system-x86_64 qemu-system-x86
	rm -f "$dir/console.log" "$dir/tap.log"
	timeout -k 5 "$seconds" qemu-system-x86_64 -accel tcg -cpu max -smp 2 \
	    -m 1024 -display none -monitor none -no-reboot -nodefaults \
	    -serial "file:$dir/console.log" -serial "file:$dir/tap.log" \
	    -kernel "$kernel" -initrd "$initrd" \
	    -append "console=ttyS0 panic=-1 oops=panic quiet loglevel=6 $*" \
	    </dev/null || status=$?
	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		echo "the emulated machine was still running after $seconds s" >> "$dir/console.log"
		echo "HARNESS: time is up" >> "$dir/console.log"
	fi
	return "$status"
}
