#!/bin/busybox sh
# The first and only program of a recorded guest: loads the devices, makes traffic, moves every interrupt, takes a CPU
# off and on, suspends, sends messages that nobody allowed, tells what the kernel knows at each stage, and powers off.
#
# Kernel arguments: vsim.moves=N rounds of affinity changes, vsim.offline, vsim.suspend, vsim.faults. Stages are told on
# the console, dumps go to the disk behind its first 8 MiB.
B=/bin/busybox
$B mkdir -p /sbin /usr/bin /usr/sbin /proc /sys /dev
$B --install -s
export PATH=/bin:/sbin:/usr/bin:/usr/sbin
mount -t proc none /proc; mount -t sysfs none /sys; mount -t devtmpfs none /dev
mount -t debugfs none /sys/kernel/debug 2>/dev/null
exec 9>/dumps 2>/dev/null

stage() { echo "vsim: stage $*" >/dev/kmsg; }
keys() { # under Xen: wait until its keys were typed; whoever typed them sends a line end
  asked vsim.keys || return
  echo "vsim: keys $1" >/dev/kmsg; read -t 300 x </dev/console
}
asked() { grep -q "$1" /proc/cmdline; }
dump() { echo "=== $1" >&9; cat $2 >&9; }
dumps() {
  dump proc-interrupts-$1 /proc/interrupts
  if [ -d /sys/kernel/debug/irq ]; then
    echo "=== debugfs-irq-$1" >&9
    for f in /sys/kernel/debug/irq/irqs/*; do echo "--- irq ${f##*/}" >&9; cat $f >&9; done
    echo "=== debugfs-irq-domains-$1" >&9
    for f in /sys/kernel/debug/irq/domains/*; do echo "--- domain ${f##*/}" >&9; cat $f >&9; done
  fi
  for f in ir_translation_struct iommu_regset invalidation_queue; do
    [ -f /sys/kernel/debug/iommu/intel/$f ] && dump $f-$1 /sys/kernel/debug/iommu/intel/$f
  done
}
functions() { # as lspci -k -xxx tells them
  for d in /sys/bus/pci/devices/*; do
    read class <$d/class; read vendor <$d/vendor; read device <$d/device
    case $class in
      0x0108*) is="Non-Volatile memory controller" ;; 0x0200*) is="Ethernet controller" ;; 0x0106*) is="SATA controller" ;;
      0x0600*) is="Host bridge" ;; 0x0601*) is="ISA bridge" ;; 0x0604*) is="PCI bridge" ;; 0x0c05*) is="SMBus" ;;
      *) is="Unclassified device" ;;
    esac
    n=${d##*/}
    echo "${n#0000:} $is: Device ${vendor#0x}:${device#0x}"
    [ -e $d/driver ] && n=$(readlink $d/driver) && printf '\tKernel driver in use: %s\n' ${n##*/}
    head -c 256 $d/config | hexdump -v -e '"%02_ax:" 16/1 " %02x" "\n"'
    echo
  done
}
traffic() {
  dd if=/dev/nvme0n1 of=/dev/null bs=64k count=4 iflag=direct
  for i in /sys/class/net/eth*; do
    [ -e $i ] || continue
    d=${i##*/}
    ip addr add 10.0.2.$((15 + ${d#eth}))/24 dev $d; ping -c 1 -W 1 -I $d 10.0.2.2 >/dev/null; ip addr flush dev $d
  done
}

for c in /sys/devices/system/cpu/cpu*/online; do # which maxcpus= has kept back
  [ "$(cat $c)" = 0 ] && echo 1 >$c
done

stage 1 of 9: devices
for m in $(cat /modules 2>/dev/null); do insmod /mod/$m; done
n=0; while [ $n -lt 600 ] && ! [ -b /dev/nvme0n1 ]; do sleep 0.1; n=$((n + 1)); done
for i in /sys/class/net/eth*; do [ -e $i ] && ip link set ${i##*/} up; done
sleep 1
CPUS=$(grep -c ^processor /proc/cpuinfo)
dump version /proc/version
dump cmdline /proc/cmdline
echo "=== lspci" >&9; functions >&9
dumps boot
keys boot

stage 2 of 9: traffic
c=0; every=1; [ $CPUS -gt 16 ] && every=$((CPUS / 16))
while [ $c -lt $CPUS ]; do
  taskset $(printf %x $((1 << (c % 60)))) dd if=/dev/nvme0n1 of=/dev/null bs=64k count=2 iflag=direct
  c=$((c + every))
done
traffic
dumps traffic

stage 3 of 9: affinity changes
echo "=== affinity-changes" >&9
rounds=$(sed -n 's/.*vsim.moves=\([0-9]*\).*/\1/p' /proc/cmdline); t=0; r=0
while [ $r -lt ${rounds:-1} ]; do
  r=$((r + 1))
  for i in /proc/irq/[0-9]*; do
    t=$(((t + CPUS / 3 + 1) % CPUS))
    echo $t >$i/smp_affinity_list && echo "${i##*/} -> $t effective $(cat $i/effective_affinity_list)" >&9
  done
  traffic
done
dumps moved
keys moved

stage 4 of 9: a CPU off and on
if asked vsim.offline && [ $CPUS -gt 1 ]; then
  last=/sys/devices/system/cpu/cpu$((CPUS - 1))/online
  echo 0 >$last; traffic; echo 1 >$last; traffic
  dumps replugged
fi

stage 5 of 9: a suspend and a resume
# pm_test: everything is put to sleep and woken, but for the power itself
if asked vsim.suspend && echo core >/sys/power/pm_test; then
  echo 0 >/sys/module/suspend/parameters/pm_test_delay
  echo mem >/sys/power/state; traffic
  dumps resumed
fi

stage 6 of 9: forbidden messages
E=$(grep -l 0x11e8 /sys/bus/pci/devices/*/device | head -1); E=${E%/device}
put() { printf "$(printf %08x $2 | sed 's/\(..\)\(..\)\(..\)\(..\)/\\x\4\\x\3\\x\2\\x\1/')" | dd of=$E/config bs=4 seek=$(($1 / 4)) conv=notrunc; }
fire() { # handle: the educational device has no driver; it sends what it is told to
  put 0x44 $((0xFEE00010 | ($1 & 0x7FFF) << 5 | ($1 >> 15 & 1) << 2)); put 0x48 0; put 0x4c 0; put 0x40 0x00810005
  devmem $((BAR + 0x60)) 32 1; devmem $((BAR + 0x64)) 32 1; sleep 0.3
}
if asked vsim.faults && [ -n "$E" ]; then
  put 4 6
  BAR=$(($(cut -d' ' -f1 $E/resource | head -1)))
  for handle in 500 1 22 65535; do fire $handle; done
  put 0x40 0x00800005
  dumps faults
fi

stage 7 of 9: a driver unbound
for d in /sys/bus/pci/drivers/e1000e/0000*; do [ -e "$d" ] && echo ${d##*/} >/sys/bus/pci/drivers/e1000e/unbind; done
dumps end

stage 8 of 9: dumps
echo "=== dmesg" >&9; dmesg >&9
echo "=== end" >&9
exec 9>&-
dd if=/dumps of=/dev/nvme0n1 bs=1M seek=8 conv=fsync
stage 9 of 9: off
poweroff -f
