/* A flame graph of the trace: see trace.h.

   Each rectangle is a way from a CPU inwards (its run loop, a closure by name, an interrupt; a
   thread, its system calls by name), as wide as the time spent there and inside.  Idle time is left
   out and told in the heading.  Plain SVG: a tooltip is a <title>, so it needs no script. */
#include "tools/say.h"
#include "tools/trace.h"

#include <stdlib.h>
#include <string.h>

#define FLAME_CPUS  64
#define PAGE_WIDTH  1200.0
#define MARGIN      10.0
#define ROW_HEIGHT  18.0
#define HEADING     46.0
#define LEAST_WIDTH 0.3 /* of a rectangle that is drawn */
#define CHAR_WIDTH  6.7

struct node {
    char *name;
    char *place; /* where its closure's body is; NULL: no closure */
    enum cpu_frame_kind kind;
    u64 self_ns, total_ns;
    u64 times; /* that it began */
    struct node *parent, *children, *next;
};

struct flame_cpu {
    struct cpu_frames frames;
    struct node *at; /* where its time goes now; NULL: it has not begun */
    bool idle;
    u64 since_ns;
};

struct flame {
    const struct trace_file *f;
    FILE *to;
    struct node root;
    struct flame_cpu cpus[FLAME_CPUS];
    u64 idle_ns;
    struct trace_visitor visit;
};

/* --- gathering -------------------------------------------------------------------------------- */

static struct node *child_of(struct node *parent, const char *name, enum cpu_frame_kind kind)
{
    struct node **link = &parent->children;
    for (; *link; link = &(*link)->next)
        if (!strcmp((*link)->name, name))
            return *link;
    struct node *n = must_allocate(sizeof(*n));
    n->name = text_copy(name);
    n->kind = kind;
    n->parent = parent;
    *link = n;
    return n;
}

static struct node *frame_node(struct flame *flame, struct node *parent, const struct cpu_frame *f)
{
    const char *file;
    u32 line;
    char *name = f->kind == FRAME_THREAD ? text_of("thread %llu", (unsigned long long)f->number)
                                         : text_copy(f->name);
    struct node *n = child_of(parent, name, f->kind);
    free(name);
    trace_name(flame->f, f->address, &file, &line);
    if (f->address && file && !n->place)
        n->place = text_of("%s:%u", file, line);
    return n;
}

/* The node of a CPU's frames; an interrupt of the idle CPU counts as work. */
static struct node *path_find(struct flame *flame, u32 number)
{
    struct flame_cpu *c = &flame->cpus[number];
    char *name = text_of("CPU %u", number);
    struct node *n = child_of(&flame->root, name, FRAME_IDLE);
    free(name);
    c->idle = c->frames.count && c->frames.frames[c->frames.count - 1].kind == FRAME_IDLE;
    enum cpu_frame_kind outermost = c->frames.count ? c->frames.frames[0].kind : FRAME_THUNK;
    if (outermost == FRAME_THUNK || outermost == FRAME_WAIT)
        n = child_of(n, "run loop", FRAME_IDLE);
    for (u32 i = 0; i < c->frames.count; i++)
        if (c->frames.frames[i].kind != FRAME_IDLE)
            n = frame_node(flame, n, &c->frames.frames[i]);
    return n;
}

static void time_charge(struct flame *flame, struct flame_cpu *c, u64 now_ns)
{
    u64 ns = c->at && now_ns > c->since_ns ? now_ns - c->since_ns : 0;
    if (c->idle)
        flame->idle_ns += ns;
    else if (ns)
        c->at->self_ns += ns;
    c->since_ns = now_ns;
}

closure_method(trace_visitor, flame_visit, struct flame, visit, const struct trace_event_seen *e)
{
    struct flame *flame = owner();
    struct flame_cpu *c = &flame->cpus[e->cpu];
    struct cpu_change change = cpu_frames_change(&c->frames, flame->f, e);
    if (c->at && !change.ended && !change.began)
        return;
    time_charge(flame, c, e->ns);
    c->at = path_find(flame, e->cpu);
    if (change.began)
        c->at->times++;
}

static u64 totals_add(struct node *n)
{
    n->total_ns = n->self_ns;
    for (struct node *child = n->children; child; child = child->next)
        n->total_ns += totals_add(child);
    return n->total_ns;
}

static u32 depth_of(const struct node *n)
{
    u32 deepest = 0;
    for (const struct node *child = n->children; child; child = child->next)
        deepest = max(deepest, depth_of(child));
    return deepest + 1;
}

/* --- drawing ---------------------------------------------------------------------------------- */

static void text_write(FILE *to, const char *text, size_t most)
{
    for (; *text && most; text++, most--) {
        switch (*text) {
        case '&':
            fputs("&amp;", to);
            break;
        case '<':
            fputs("&lt;", to);
            break;
        case '>':
            fputs("&gt;", to);
            break;
        case '"':
            fputs("&quot;", to);
            break;
        default:
            fputc(*text >= ' ' && *text < 127 ? *text : '?', to);
        }
    }
}

/* The same name has the same colour; a kind has its range. */
static void colour_write(FILE *to, const struct node *n)
{
    static const u8 base[][3] = {
        [FRAME_THUNK] = {230, 120, 50},  [FRAME_IDLE] = {190, 190, 190},
        [FRAME_THREAD] = {90, 160, 220}, [FRAME_INTERRUPT] = {200, 90, 160},
        [FRAME_CALL] = {110, 190, 110},  [FRAME_FAULT] = {220, 200, 80},
        [FRAME_WAIT] = {220, 60, 60},
    };
    u32 hash = 5381;
    for (const char *c = n->name; *c; c++)
        hash = hash * 33 + (u8)*c;
    fprintf(to, "rgb(%u,%u,%u)", base[n->kind][0] + hash % 24, base[n->kind][1] + hash / 24 % 24,
            base[n->kind][2] + hash / 576 % 24);
}

static void node_draw(const struct flame *flame, const struct node *n, double x, double y)
{
    FILE *to = flame->to;
    double width = (PAGE_WIDTH - 2 * MARGIN) * (double)n->total_ns / (double)flame->root.total_ns;
    if (width < LEAST_WIDTH)
        return;
    fprintf(to, "<g><title>");
    text_write(to, n->name, SIZE_MAX);
    if (n->place) {
        fputs(" (", to);
        text_write(to, n->place, SIZE_MAX);
        fputs(")", to);
    }
    fprintf(to, ": %.1f us, %.2f %%, itself %.1f us", (double)n->total_ns / 1000,
            100 * (double)n->total_ns / (double)flame->root.total_ns, (double)n->self_ns / 1000);
    if (n->times)
        fprintf(to, ", %llu times", (unsigned long long)n->times);
    fprintf(to, "</title><rect x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%.1f\" fill=\"", x, y,
            width, ROW_HEIGHT - 1);
    colour_write(to, n);
    fputs("\"/>", to);
    if (width > 3 * CHAR_WIDTH) {
        fprintf(to, "<text x=\"%.2f\" y=\"%.1f\">", x + 3, y + ROW_HEIGHT - 5);
        text_write(to, n->name, (size_t)((width - 6) / CHAR_WIDTH));
        fputs("</text>", to);
    }
    fputs("</g>\n", to);
    for (const struct node *child = n->children; child; child = child->next) {
        node_draw(flame, child, x, y - ROW_HEIGHT);
        x += (PAGE_WIDTH - 2 * MARGIN) * (double)child->total_ns / (double)flame->root.total_ns;
    }
}

static void page_draw(const struct flame *flame, const char *title)
{
    FILE *to = flame->to;
    double height = HEADING + depth_of(&flame->root) * ROW_HEIGHT + MARGIN;
    fprintf(to,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
            "viewBox=\"0 0 %.0f %.0f\" font-family=\"monospace\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#f8f8f4\"/>\n<text x=\"%.0f\" y=\"20\" "
            "font-size=\"15\">",
            PAGE_WIDTH, height, PAGE_WIDTH, height, MARGIN);
    text_write(to, title, 100);
    fprintf(to, "</text>\n<text x=\"%.0f\" y=\"36\">busy %.1f ms, idle %.1f ms (not drawn)", MARGIN,
            (double)flame->root.total_ns / 1e6, (double)flame->idle_ns / 1e6);
    if (trace_lost(flame->f))
        fprintf(to, "; %llu records were lost", (unsigned long long)trace_lost(flame->f));
    fputs("</text>\n", to);
    if (flame->root.total_ns)
        node_draw(flame, &flame->root, MARGIN, height - MARGIN - ROW_HEIGHT);
    fputs("</svg>\n", to);
}

static void nodes_free(struct node *n)
{
    while (n) {
        struct node *next = n->next;
        nodes_free(n->children);
        free(n->name);
        free(n->place);
        free(n);
        n = next;
    }
}

bool flame_write(const struct trace_file *f, FILE *to, const char *title)
{
    struct flame *flame = must_allocate(sizeof(*flame));
    flame->f = f;
    flame->to = to;
    flame->root = (struct node){.name = text_copy("all"), .kind = FRAME_IDLE};
    init_method(&flame->visit, flame_visit);
    trace_walk(f, &flame->visit);
    for (u32 cpu = 0; cpu < FLAME_CPUS; cpu++)
        time_charge(flame, &flame->cpus[cpu], trace_end_ns(f));
    totals_add(&flame->root);
    page_draw(flame, title);
    nodes_free(flame->root.children);
    free(flame->root.name);
    free(flame);
    return fflush(to) == 0 && !ferror(to);
}
