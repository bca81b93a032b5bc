; The 256 entries of the IDT.  See kernel/x86/interrupts.h for the frame.
;
; Rules.  Every stub leaves vector and error code on the stack and goes on in a common part, which
; saves the registers, makes GS the kernel's and calls trap_dispatch.  Interrupts are off throughout.
; The three vectors with a stack of their own may interrupt anything, also the few instructions in
; which GS is not what CS says, so they ask the CPU for it.

%include "kernel/x86/offsets.inc"

default rel
bits 64

extern trap_dispatch

global trap_stubs
global trap_return

%define MSR_GS_BASE   0xc0000101
%define STUB_BYTES    16
%define FRAME_CS      (18 * 8)  ; struct trap_frame

; Vectors for which the CPU pushes an error code: 8 10-14 17 21 29 30.
%define HAS_ERROR     0x60227d00

section .text

align STUB_BYTES
trap_stubs:
%assign vector 0
%rep 256
    align STUB_BYTES
%if vector < 32 && ((HAS_ERROR >> vector) & 1)
%else
    push byte 0
%endif
    push vector
%if vector == 2 || vector == 8 || vector == 18
    jmp near trap_any
%else
    jmp near trap_common
%endif
%assign vector vector + 1
%endrep
    align STUB_BYTES

%macro save_registers 0
    push rax
    push rbx
    push rcx
    push rdx
    push rsi
    push rdi
    push rbp
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
%endmacro

%macro restore_registers 0
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rbp
    pop rdi
    pop rsi
    pop rdx
    pop rcx
    pop rbx
    pop rax
    add rsp, 16                 ; vector, error code
%endmacro

trap_common:
    save_registers
    cld
    test byte [rsp + FRAME_CS], 3
    jz .kernel
    swapgs
    mov rdi, rsp
    xor ebp, ebp                ; ends a backtrace
    call trap_dispatch
    restore_registers
    swapgs
    iretq
.kernel:
    mov rdi, rsp
    call trap_dispatch
    restore_registers
    iretq

; GS is the kernel's when its base is in the upper half.  rbx, which C keeps, says what to undo.
trap_any:
    save_registers
    cld
    mov ecx, MSR_GS_BASE
    rdmsr
    xor ebx, ebx
    test edx, edx
    js .right
    swapgs
    inc ebx
.right:
    mov rdi, rsp
    call trap_dispatch
    test ebx, ebx
    jz .return
    swapgs
.return:
    restore_registers
    iretq
