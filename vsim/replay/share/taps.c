/* taps: a QEMU TCG plugin that tells what QEMU's own trace does not: what a guest writes to the memory that its
 * remapping units read, and when a vCPU begins to run what is behind an interrupt vector.
 *
 * Lines go into QEMU's log (-D FILE -d plugin), between those of its trace, in the order in which things happen:
 *
 *   G <vcpu> w<bytes> <physical address> <value>    a store to the remapping table, the queue, or a status word
 *   L <vcpu> r<bytes> <physical address> <value>    a load from a status word, or from a register page
 *   T <vcpu> <vector>                               the first instruction behind a vector runs
 *   V <vcpu> <thread>                               whose thread this is: QEMU's own lines name threads only
 *
 * Where table and queue lie follows from the stores to the unit's registers, what is behind a vector from the
 * interrupt descriptor table: read at LIDT, and again wherever it is stored to.
 *
 * Arguments: unit=ADDRESS of the registers; code=NUMBER, bits 63:36 of the virtual addresses of the code that is watched
 * (a hypervisor's: its guests are not looked at, and run faster); without it all kernel code is, the upper half. Each
 * vCPU needs a thread of its own (-accel tcg,thread=multi): with one for all, QEMU 10.0 tells plugins the wrong vCPU.
 * The prototypes are those of plugin interface 4 (QEMU 9.2); no header of QEMU is needed:
 *
 *   cc -O2 -shared -fPIC -o taps.so taps.c
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- of QEMU's qemu-plugin.h and of glib, as far as used --- */

typedef uint64_t plugin_id;
typedef uint32_t mem_info;
typedef struct { int type; union { uint8_t u8; uint16_t u16; uint32_t u32; uint64_t u64;
                 struct { uint64_t low, high; } u128; } data; } mem_value;
typedef struct { uint8_t *data; unsigned len; } GByteArray;
struct qemu_plugin_tb; struct qemu_plugin_insn; struct qemu_plugin_hwaddr;
enum { NO_REGS = 0, READS_AND_WRITES = 3 };

void qemu_plugin_register_vcpu_init_cb(plugin_id, void (*)(plugin_id, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, void (*)(unsigned, mem_info, uint64_t, void *), int,
                                      int, void *);
unsigned qemu_plugin_mem_size_shift(mem_info);
bool qemu_plugin_mem_is_store(mem_info);
mem_value qemu_plugin_mem_get_value(mem_info);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(mem_info, uint64_t);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);
bool qemu_plugin_read_memory_vaddr(uint64_t, GByteArray *, size_t);
void qemu_plugin_outs(const char *);
GByteArray *g_byte_array_new(void);
uint8_t *g_byte_array_free(GByteArray *, int);

__attribute__((visibility("default"))) int qemu_plugin_version = 4;

/* --- what is watched --- */

enum { PAGE = 4096, IRTA = 0xb8, IQA = 0x90, FIRST_VECTOR = 32, MOST_TABLES = 8, HANDLERS = 4096, WORDS = 1 << 14 };

static uint64_t unit = 0xfed90000, code_at;
static const uint64_t ioapic = 0xfec00000;
static struct { uint64_t from, to; } table, queue;

static void say(char kind, unsigned vcpu, char how, unsigned bytes, uint64_t at, uint64_t low, uint64_t high)
{
    char line[128];
    int n = snprintf(line, sizeof line, "%c %u %c%u 0x%" PRIx64 " ", kind, vcpu, how, bytes, at);
    if (high) snprintf(line + n, sizeof line - n, "0x%" PRIx64 "%016" PRIx64 "\n", high, low);
    else snprintf(line + n, sizeof line - n, "0x%" PRIx64 "\n", low);
    qemu_plugin_outs(line);
}

/* Status words that wait descriptors name: open addressing, and a bit for each page that they may be in. */

static uint64_t words[WORDS];
static unsigned char word_pages[1 << 13];

static bool is_word(uint64_t at, bool insert)
{
    unsigned page = at >> 12 & 0xffff, place = (uint32_t) (at >> 2) * 2654435761u >> 18;
    if (insert) word_pages[page >> 3] |= 1 << (page & 7);
    else if (!(word_pages[page >> 3] >> (page & 7) & 1)) return false;
    for (int tries = 0; tries < 64; tries++, place++) {
        uint64_t *word = &words[place & (WORDS - 1)];
        if (*word == at) return true;
        if (!*word) { if (insert) *word = at; return false; }
    }
    return false;
}

/* What is behind the vectors: by address of the first instruction, open addressing; the vector is beside it. */

static uint64_t tables[MOST_TABLES];
static int table_count;
static struct { uint64_t pc; unsigned vector; } handlers[HANDLERS];

static int vector_behind(uint64_t pc)
{
    for (unsigned place = (uint32_t) (pc >> 2) * 2654435761u, tries = 0; tries < 64; tries++, place++) {
        if (handlers[place & (HANDLERS - 1)].pc == pc) return handlers[place & (HANDLERS - 1)].vector;
        if (!handlers[place & (HANDLERS - 1)].pc) return -1;
    }
    return -1;
}

static void read_gates(uint64_t base, unsigned first, unsigned count)
{
    GByteArray *bytes = g_byte_array_new();
    if (qemu_plugin_read_memory_vaddr(base + 16 * first, bytes, 16 * count) && bytes->len >= 16 * count) {
        for (unsigned vector = first; vector < first + count; vector++) {
            uint64_t low, high;
            memcpy(&low, bytes->data + 16 * (vector - first), 8);
            memcpy(&high, bytes->data + 16 * (vector - first) + 8, 8);
            uint64_t pc = (low & 0xffff) | (low >> 48 & 0xffff) << 16 | high << 32;
            if (!(low >> 47 & 1) || (low >> 45 & 3) || vector < FIRST_VECTOR || vector_behind(pc) >= 0) continue;
            for (unsigned place = (uint32_t) (pc >> 2) * 2654435761u, tries = 0; tries < 64; tries++, place++)
                if (!handlers[place & (HANDLERS - 1)].pc) {
                    handlers[place & (HANDLERS - 1)].vector = vector;
                    handlers[place & (HANDLERS - 1)].pc = pc;
                    break;
                }
        }
    }
    g_byte_array_free(bytes, 1);
}

static void lidt(unsigned vcpu, mem_info info, uint64_t vaddr, void *unused)
{
    if (qemu_plugin_mem_size_shift(info) != 3) return;      /* the limit; the base follows */
    uint64_t base = qemu_plugin_mem_get_value(info).data.u64;
    for (int i = 0; i < table_count; i++)
        if (tables[i] == base) return;
    if (table_count < MOST_TABLES) tables[table_count++] = base;
    read_gates(base, 0, 256);
}

/* --- what happens --- */

static void accessed(unsigned vcpu, mem_info info, uint64_t vaddr, void *unused)
{
    bool store = qemu_plugin_mem_is_store(info);
    if (store)
        for (int i = 0; i < table_count; i++)
            if (vaddr - tables[i] < PAGE) read_gates(tables[i], (vaddr - tables[i]) / 16, 1);
    struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, vaddr);
    if (!where) return;
    uint64_t at = qemu_plugin_hwaddr_phys_addr(where);
    bool registers = (at & ~0xfffull) == unit || (at & ~0xfffull) == ioapic;
    bool in_table = at - table.from < table.to - table.from, in_queue = at - queue.from < queue.to - queue.from;
    bool word = is_word(at, false);
    if (!registers && !word && !(store && (in_table || in_queue))) return;

    unsigned bytes = 1u << qemu_plugin_mem_size_shift(info);
    mem_value value = qemu_plugin_mem_get_value(info);
    uint64_t low = bytes == 1 ? value.data.u8 : bytes == 2 ? value.data.u16 : bytes == 4 ? value.data.u32
                 : bytes == 8 ? value.data.u64 : value.data.u128.low;
    uint64_t high = bytes == 16 ? value.data.u128.high : 0;
    if (!store) {
        say('L', vcpu, 'r', bytes, at, low, 0);
        return;
    }
    if (registers) {                                        /* QEMU's trace has the store; where memory is, counts */
        if (at == unit + IRTA && bytes == 8) {
            table.from = low & ~0xfffull;
            table.to = table.from + (16ull << ((low & 15) + 1));
        } else if (at == unit + IQA && bytes == 8) {
            queue.from = low & ~0xfffull;
            queue.to = queue.from + (4096ull << (low & 7));
        }
        return;
    }
    say('G', vcpu, 'w', bytes, at, low, high);
    static _Thread_local uint64_t low_at, low_half;         /* of the descriptor that is being written */
    if (in_queue) {
        if (!(at & 15)) { low_at = at; low_half = low; }
        uint64_t status = bytes == 16 ? high : at == low_at + 8 ? low : 0;
        if (status && (low_half & 0x2f) == 0x25) is_word(status & ~3ull, true);     /* a wait that writes */
    }
}

static void entered(unsigned vcpu, void *vector)
{
    char line[48];
    snprintf(line, sizeof line, "T %u %u\n", vcpu, (unsigned) (uintptr_t) vector);
    qemu_plugin_outs(line);
}

static void begins(plugin_id id, unsigned vcpu)
{
    char line[48];
    snprintf(line, sizeof line, "V %u %ld\n", vcpu, syscall(SYS_gettid));
    qemu_plugin_outs(line);
}

static bool is_lidt(const uint8_t *code, size_t n)
{
    size_t i = 0;
    while (i < n && ((code[i] & 0xf0) == 0x40 || code[i] == 0x66 || code[i] == 0x2e || code[i] == 0x3e)) i++;
    return i + 2 < n && code[i] == 0x0f && code[i + 1] == 0x01 && (code[i + 2] >> 3 & 7) == 3 && code[i + 2] >> 6 != 3;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    size_t n = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        uint64_t pc = qemu_plugin_insn_vaddr(insn);
        if (code_at ? pc >> 36 != code_at : !(pc >> 63)) continue;
        uint8_t code[8] = {0};
        size_t got = qemu_plugin_insn_data(insn, code, sizeof code);
        qemu_plugin_register_vcpu_mem_cb(insn, accessed, NO_REGS, READS_AND_WRITES, NULL);
        if (is_lidt(code, got)) qemu_plugin_register_vcpu_mem_cb(insn, lidt, NO_REGS, READS_AND_WRITES, NULL);
        int vector = vector_behind(pc);
        if (vector >= 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, entered, NO_REGS, (void *) (uintptr_t) vector);
    }
}

__attribute__((visibility("default")))
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strncmp(argv[i], "unit=", 5)) unit = strtoull(argv[i] + 5, NULL, 0);
        else if (!strncmp(argv[i], "code=", 5)) code_at = strtoull(argv[i] + 5, NULL, 0);
    qemu_plugin_register_vcpu_init_cb(id, begins);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
