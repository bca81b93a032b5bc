; Into and out of user mode: SYSCALL, and the two ways back.
;
; Rules.  Interrupts are off in all of this (FMASK, and iret's flags bring them back).  The frame is
; struct user_frame (kernel/user.h); kernel/x86/user.c holds its offsets to those here.  A system
; call saves every register that its return does not change, because it may never come back here:
; user_enter then starts from the frame.  When it does come back, C has kept rbx, rbp and r12-r15.
; Callers: the CPU (LSTAR), kernel/x86/user.c.

%include "kernel/x86/offsets.inc"
%include "kernel/x86/user_offsets.inc"

default rel
bits 64

extern user_syscall_hook
extern user_resume
extern run_loop_serve

global syscall_entry
global syscall_entry_compatible
global user_return_fast
global user_return_full
global run_loop

section .text

syscall_entry:
    swapgs
    mov [gs:CPU_SCRATCH], rsp
    inc qword [gs:CPU_PROGRESS]
    mov rsp, [gs:CPU_FRAME]
    mov [rsp + FRAME_ORIG_RAX], rax
    mov [rsp + FRAME_RDI], rdi
    mov [rsp + FRAME_RSI], rsi
    mov [rsp + FRAME_RDX], rdx
    mov [rsp + FRAME_R10], r10
    mov [rsp + FRAME_R8], r8
    mov [rsp + FRAME_R9], r9
    mov [rsp + FRAME_RBX], rbx
    mov [rsp + FRAME_RBP], rbp
    mov [rsp + FRAME_R12], r12
    mov [rsp + FRAME_R13], r13
    mov [rsp + FRAME_R14], r14
    mov [rsp + FRAME_R15], r15
    mov [rsp + FRAME_RCX], rcx      ; SYSCALL put rip and the flags there
    mov [rsp + FRAME_RIP], rcx
    mov [rsp + FRAME_R11], r11
    mov [rsp + FRAME_RFLAGS], r11
    mov qword [rsp + FRAME_FULL], 0
    mov rdi, rsp
    mov rax, [gs:CPU_SCRATCH]
    mov [rdi + FRAME_RSP], rax
    mov rsp, [gs:CPU_STACK_TOP]
    xor ebp, ebp                    ; ends a backtrace
    call [user_syscall_hook]
    mov rdi, [gs:CPU_FRAME]
    mov rbp, [rdi + FRAME_RBP]

    ; What asks for the long way: registers that were changed, FPU state or bases that have to be
    ; loaded (whoever changes them says so in full), work for the run loop.
    cmp qword [rdi + FRAME_FULL], 0
    jne .long
    cmp qword [gs:CPU_PENDING], 0
    jne .long
return_with_sysret:
    ; SYSRET to an address that is not canonical would fault in kernel mode, on the user's stack.
    mov rcx, [rdi + FRAME_RIP]
    mov rax, rcx
    shr rax, 47
    jnz .not_user
    mov r11, [rdi + FRAME_RFLAGS]
    mov rax, [rdi + FRAME_RAX]
    mov rsi, [rdi + FRAME_RSI]
    mov rdx, [rdi + FRAME_RDX]
    mov r10, [rdi + FRAME_R10]
    mov r8, [rdi + FRAME_R8]
    mov r9, [rdi + FRAME_R9]
    mov rsp, [rdi + FRAME_RSP]
    mov rdi, [rdi + FRAME_RDI]
    swapgs
    o64 sysret
return_with_sysret.not_user:
    mov qword [rdi + FRAME_FULL], 1
syscall_entry.long:
    mov rsp, [gs:CPU_STACK_TOP]
    call user_resume                ; does not come back

; A 32-bit SYSCALL (AMD): there is no such interface.  The call returns ENOSYS.
syscall_entry_compatible:
    mov eax, -38
    o32 sysret

; void user_return_fast(struct user_frame *frame): after a system call; rcx and r11 are free.
user_return_fast:
    mov rbx, [rdi + FRAME_RBX]
    mov rbp, [rdi + FRAME_RBP]
    mov r12, [rdi + FRAME_R12]
    mov r13, [rdi + FRAME_R13]
    mov r14, [rdi + FRAME_R14]
    mov r15, [rdi + FRAME_R15]
    jmp return_with_sysret

; void user_return_full(struct user_frame *frame): every register matters.
user_return_full:
    mov rsp, [gs:CPU_STACK_TOP]
    push SELECTOR_USER_DATA
    push qword [rdi + FRAME_RSP]
    push qword [rdi + FRAME_RFLAGS]
    push SELECTOR_USER_CODE
    push qword [rdi + FRAME_RIP]
    mov rax, [rdi + FRAME_RAX]
    mov rbx, [rdi + FRAME_RBX]
    mov rcx, [rdi + FRAME_RCX]
    mov rdx, [rdi + FRAME_RDX]
    mov rsi, [rdi + FRAME_RSI]
    mov rbp, [rdi + FRAME_RBP]
    mov r8, [rdi + FRAME_R8]
    mov r9, [rdi + FRAME_R9]
    mov r10, [rdi + FRAME_R10]
    mov r11, [rdi + FRAME_R11]
    mov r12, [rdi + FRAME_R12]
    mov r13, [rdi + FRAME_R13]
    mov r14, [rdi + FRAME_R14]
    mov r15, [rdi + FRAME_R15]
    mov rdi, [rdi + FRAME_RDI]
    swapgs
    iretq

; void run_loop(void) (kernel/run_loop.h): whatever called it is over.
run_loop:
    mov rsp, [gs:CPU_STACK_TOP]
    xor ebp, ebp
    call run_loop_serve
