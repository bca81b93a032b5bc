/* Writes the seeds for elf_fuzz into the directory that is its argument: the headers of a static,
   of a position-independent and of a dynamically linked program, with a few bytes behind them.  By
   chance alone a fuzzer does not come past the first check of such a header. */
#include <elf.h>
#include <stdio.h>
#include <string.h>

enum { HEADERS_MOST = 5, FILE_BYTES = 1024 };

static const char interpreter[] = "/lib64/ld-linux-x86-64.so.2";

static void header_put(unsigned char *file, unsigned type, unsigned headers)
{
    Elf64_Ehdr h = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = (Elf64_Half)type,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_entry = type == ET_EXEC ? 0x4003f0 : 0x3f0,
                    .e_phoff = sizeof(h),
                    .e_ehsize = sizeof(h),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = (Elf64_Half)headers};
    memcpy(file, &h, sizeof(h));
}

/* Text, data with room behind it, a stack, and for a dynamically linked one its interpreter. */
static int seed_write(const char *directory, const char *name, unsigned type, unsigned interpreted)
{
    unsigned char file[FILE_BYTES] = {0};
    unsigned long base = type == ET_EXEC ? 0x400000 : 0;
    const Elf64_Phdr headers[HEADERS_MOST] = {
        {PT_LOAD, PF_R | PF_X, 0, base, base, FILE_BYTES, FILE_BYTES, 4096},
        {PT_LOAD, PF_R | PF_W, 512, base + 0x2200, base + 0x2200, 100, 9000, 4096},
        {PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16},
        {PT_PHDR, PF_R, sizeof(Elf64_Ehdr), base + sizeof(Elf64_Ehdr), base + sizeof(Elf64_Ehdr),
         sizeof(headers), sizeof(headers), 8},
        {PT_INTERP, PF_R, 600, base + 600, base + 600, sizeof(interpreter), sizeof(interpreter), 1},
    };
    char path[512];
    header_put(file, type, HEADERS_MOST - !interpreted);
    memcpy(file + sizeof(Elf64_Ehdr), headers, sizeof(headers));
    memcpy(file + 600, interpreter, sizeof(interpreter));
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(file, 1, sizeof(file), f) != sizeof(file) || fclose(f) != 0) {
        perror(path);
        return 1;
    }
    return 0;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: elf_seeds DIRECTORY\n");
        return 2;
    }
    return seed_write(arguments[1], "static", ET_EXEC, 0) ||
           seed_write(arguments[1], "pie", ET_DYN, 0) ||
           seed_write(arguments[1], "dynamic", ET_DYN, 1);
}
