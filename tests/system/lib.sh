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
	local release=$1 dir=build/kernel/$1
	mkdir -p build/kernel
	# Of suites that run at the same time, one fetches; the others wait.
	(
		flock 9
		[ -e "$dir/done" ] || unpack_kernel "$release" "$dir"
	) 9> build/kernel/lock || exit 1
	echo "$dir"
}

unpack_kernel() {	# RELEASE DIR
	local release=$1 dir=$2 tmp
	need dpkg-deb dpkg
	echo "fetching Debian's package linux-image-$release" >&2
	rm -rf "$dir"
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

# host_modules KERNEL DIR NAME ...: for initrd, the modules of the unpacked KERNEL
# with these names, without what only debuggers and signature checks read; in DIR.
# What is built into the kernel has no file.
host_modules() {
	local kernel=$1 dir=$2 name file
	shift 2
	mkdir -p "$dir"
	for name; do
		file=$(find "$kernel/modules" -name "$name.ko" -print -quit)
		[ -n "$file" ] || continue
		objcopy --strip-debug -R .BTF "$file" "$dir/$name.ko"
		echo "$dir/$name.ko:modules/$name.ko"
	done
}

# python_files MODULE ...: for initrd, Python, and all that it loads to import these
# modules of its library.
python_files() {
	local files
	files=$(/usr/bin/python3 -I -S -c '
import importlib, os, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(os.path.realpath(sys.executable))
for module in sys.modules.values():
    if module.__spec__ is not None and module.__spec__.has_location:
        print(module.__spec__.origin)' "$@") || die "Python lacks one of: $*"
	{
		echo "$files"
		# Only some are programs or libraries.
		for file in $files; do
			ldd "$file" 2>/dev/null | grep -o '/[^ ]*' || true
		done
	} | sort -u | sed 's/.*/&:&/'
}

# boot SECONDS DIR KERNEL INITRD [KERNEL-ARGUMENT ...]: an emulated machine by
# VENDOR (amd or intel) with CPUS CPUs (two), until it powers off. DIR/console.log is
# the host's console and log, DIR/tap.log its second serial port. Fails when the time is up.
# HOST_MEGS: how much memory it has, in MiB.
boot() {
	local seconds=$1 dir=$2 kernel=$3 initrd=$4 status=0
	shift 4
	rm -f "$dir/console.log" "$dir/tap.log"
	"boot_${VENDOR:-amd}" "$seconds" "$dir" "$kernel" "$initrd" "${CPUS:-2}" \
	    "console=ttyS0,115200 panic=-1 oops=panic quiet loglevel=6 $*" \
	    </dev/null || status=$?
	if [ "$status" -eq 124 ] || [ "$status" -eq 137 ]; then
		echo "the emulated machine was still running after $seconds s" >> "$dir/console.log"
		echo "HARNESS: time is up" >> "$dir/console.log"
	fi
	return "$status"
}

# An emulator must not outlive the script that waits for it.
QUIT_WITH_US="setpriv --pdeathsig TERM"
interruptible() {
	trap 'kill $(jobs -p) 2>/dev/null; exit 130' INT TERM
}

# QEMU's TCG emulates SVM with nested paging. QEMU_OPTIONS: more of its options.
# The kernel must not test the timer by waiting for it: on a loaded computer the
# emulator is late, and the boot ends with "IO-APIC + timer doesn't work!".
boot_amd() {	# SECONDS DIR KERNEL INITRD CPUS ARGUMENTS
	need qemu-system-x86_64 qemu-system-x86
	$QUIT_WITH_US timeout -k 5 "$1" qemu-system-x86_64 -accel tcg,thread=single \
	    -cpu max -smp "$5" \
	    -m "${HOST_MEGS:-1024}" -display none -monitor none -no-reboot -nodefaults \
	    -serial "file:$2/console.log" -serial "file:$2/tap.log" \
	    -kernel "$3" -initrd "$4" -append "$6 no_timer_check" ${QEMU_OPTIONS:-}
}

# Bochs emulates VMX with EPT, VPID and unrestricted guests. Its time is counted in
# instructions: a second is $ips of them on each CPU. A CPU that waits costs nothing
# if it is the only one, but as much as one that works if there are two.
# BOCHS_IPS: another number of them; BOCHS_OPTIONS: more lines for its configuration;
# BOCHS_COMMANDS: for its debugger, instead of "go on".
boot_intel() {	# SECONDS DIR KERNEL INITRD CPUS ARGUMENTS
	local dir=$2 ips=${BOCHS_IPS:-50000000} status=0 panic
	need bochs bochs
	need script bsdutils
	need xorriso xorriso
	need grub-mkrescue grub-common
	[ -e /usr/lib/grub/i386-pc ] || die "no GRUB for the emulated BIOS:" \
	    "apt-get install grub-pc-bin (or make deps)"
	[ "$5" -eq 1 ] || ips=${BOCHS_IPS:-20000000}

	# The kernel must not measure time by waiting, and a crash must end the run.
	rm -rf "$dir/cd"
	mkdir -p "$dir/cd/boot/grub"
	cp "$3" "$dir/cd/vmlinuz"
	cp "$4" "$dir/cd/initrd"
	cat > "$dir/cd/boot/grub/grub.cfg" <<-END
		set timeout=0
		linux /vmlinuz $6 tsc=reliable no_timer_check lpj=1000000 cryptomgr.notests reboot=t
		initrd /initrd
		boot
	END
	grub-mkrescue -d /usr/lib/grub/i386-pc --install-modules="linux normal iso9660 biosdisk" \
	    --fonts= --locales= --themes= -o "$dir/cd.iso" "$dir/cd" > "$dir/cd.log" 2>&1 || {
		cat "$dir/cd.log" >&2
		die "grub-mkrescue failed"
	}
	cat > "$dir/bochsrc" <<-END
		config_interface: textconfig
		display_library: term
		romimage: file=/usr/share/bochs/BIOS-bochs-latest
		vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
		megs: ${HOST_MEGS:-1024}
		cpu: model=corei7_haswell_4770, count=$5, ips=$ips, reset_on_triple_fault=0
		cpu: quantum=32
		clock: sync=none, time0=utc
		ata0-master: type=cdrom, path=$dir/cd.iso, status=inserted
		boot: cdrom
		com1: enabled=1, mode=file, dev=$dir/console.log
		com2: enabled=1, mode=file, dev=$dir/tap.log
		speaker: enabled=0
		log: $dir/bochs.log
		panic: action=fatal
		error: action=report
		info: action=ignore
		${BOCHS_OPTIONS:-}
	END
	# Debian's Bochs starts in its debugger, and needs a terminal for the screen. Its
	# clock waits for it; those of other emulators beside it do not.
	echo "${BOCHS_COMMANDS:-c}" > "$dir/bochs.rc"
	TERM=vt100 $QUIT_WITH_US nice timeout -k 5 "$1" script -qfc \
	    "stty rows 25 cols 80; exec bochs -q -f '$dir/bochsrc' -rc '$dir/bochs.rc'" \
	    "$dir/screen.log" > /dev/null || status=$?
	[ "$status" -ne 124 ] && [ "$status" -ne 137 ] || return "$status"
	# Its only way out is a panic, of which one is the way to power off.
	panic=$(sed -n 's/.*>>PANIC<< //p' "$dir/bochs.log")
	[ "$panic" != "ACPI control: soft power off" ] || return 0
	echo "HARNESS: Bochs ended: ${panic:-status $status}" >> "$dir/console.log"
	return 1
}
