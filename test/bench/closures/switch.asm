; The least that a switch of stacks can be: the registers that a call must keep, by the System V
; ABI, and the stack pointer.  void bare_switch_to(void **save, void *load)
bits 64
section .text
global bare_switch_to
bare_switch_to:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
section .note.GNU-stack noalloc noexec nowrite progbits
