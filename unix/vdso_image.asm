; The vDSO as boot/kernel.mk links it out of unix/vdso/, for unix/vdso.c to copy into a program.

global vdso_image
global vdso_image_end

section .rodata align=16

vdso_image:
    incbin "vdso.so"
vdso_image_end:
