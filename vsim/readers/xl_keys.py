"""The options that xl knows: all others it passes over, for it asks for each key by its name and looks at no other.

What it asks for was taken from the program of Xen 4.17.5 (Debian: the texts that /usr/lib/xen-4.17/bin/xl hands to
xlu_cfg_get_string and its like) and held against xl.cfg(5) of that version; `viommu` is the series' own. libxlu takes
any key without a word (tried: xlu_cfg_readdata of the same version), and xl_parse.c of version 4 of the series asks in
the same way. Options of releases after 4.17 are not among them.
"""

from __future__ import annotations

_WORDS = """
    acpi acpi_firmware acpi_laptop_slate acpi_s3 acpi_s4 altp2m altp2mhvm apic bios bios_path_override boot
    bootloader bootloader_args builder cap channel cmdline cpu_weight cpuid cpus cpus_soft device_model
    device_model_args device_model_args_hvm device_model_args_pv device_model_override
    device_model_stubdomain_override device_model_stubdomain_seclabel device_model_user device_model_version
    device_tree disk display dm_restrict driver_domain dtdev e820_host extra extratime firmware firmware_override
    gfx_passthru gic_version hap hdtype hpet init_seclabel iomem ioports irqs kernel keymap latency localtime
    max_event_channels max_grant_frames max_grant_version max_maptrack_frames maxmem maxvcpus mca_caps memory
    mmio_hole ms_vm_genid msr_relaxed name nestedhvm nographic nomigrate nx on_crash on_poweroff on_reboot
    on_soft_reset on_watchdog oos opengl p9 pae passthrough pci pci_msitranslate pci_permissive pci_power_mgmt
    pci_seize period pool pvcalls pvshim pvshim_cmdline pvshim_extra pvshim_path ramdisk rdm rdm_mem_boundary root
    rtc_timeoffset sdl seclabel serial shadow_memory slice smbios_firmware soundhw spice spice_clipboard_sharing
    spice_image_compression spice_streaming_video spiceagent_mouse spicedisable_ticketing spicehost spicepasswd
    spiceport spicetls_port spiceusbredirection spicevdagent stdvga stubdomain_cmdline stubdomain_kernel
    stubdomain_memory stubdomain_ramdisk tee timer_mode tsc_mode type usb usbctrl usbdev usbdevice usbversion uuid
    vcpus vdispl vendor_device vfb vga videoram vif vif2 viommu viridian vkb vkb_device vmtrace_buf_kb vnc
    vncdisplay vnclisten vncpasswd vncunused vncviewer vnuma vpmu vpt_align vsnd vtpm vuart xauthority
    xen_platform_pci xend_suspend_evtchn_compat
"""
KEYS = frozenset(_WORDS.split())
"""Keys of a domain's configuration."""
