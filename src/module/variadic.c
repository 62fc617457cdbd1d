/* The functions of the module API that stable Rust cannot define: the variadic ones, and those that pass
 * a long double by value. They walk, print or parse their arguments and hand the result to Rust.
 * Nothing else is written in C. */

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { const char *data; size_t len; } Arg;

/* Defined in Rust. */
extern void *mortise_call(void *ctx, const char *name, const char *format, const Arg *args, size_t n);
extern int mortise_replicate(void *ctx, const char *name, const char *format, const Arg *args, size_t n);
extern void *mortise_string_of_text(void *ctx, const char *text, size_t len);
extern int mortise_reply_error_text(void *ctx, const char *text, size_t len);
extern void mortise_log_text(void *ctx, const char *level, const char *text, size_t len);
extern void mortise_log_io_text(void *io, const char *level, const char *text, size_t len);
extern void mortise_emit_aof(void *io, const char *name, const Arg *args, size_t n);
extern int mortise_hash_check(void *key, int flags, int to_write);
extern int mortise_hash_set_field(void *key, int flags, const char *field, size_t len, void *value);
extern int mortise_hash_has_field(void *key, const char *field, size_t len);
extern void *mortise_hash_get_field(void *key, const char *field, size_t len);
extern long long mortise_hash_field_expire(void *key, const char *field, size_t len);
extern int mortise_reply_long_double(void *ctx, const char *text, size_t len);
extern void mortise_save_text(void *io, const char *text, size_t len);
extern size_t mortise_load_text(void *io, char *buffer, size_t room);
extern const char *mortise_string_data(const void *string, size_t *len);

enum { HASH_CFIELDS = 1 << 2, HASH_EXISTS = 1 << 3, HASH_EXPIRE_TIME = 1 << 5 };

/* The arguments of one call, in memory that grows with them. */
typedef struct { Arg *args; size_t len, room; char *numbers; size_t number_count; int failed; } Args;

enum { NUMBER_BYTES = 24 };

static void push(Args *to, const char *data, size_t len) {
    if (to->len == to->room) {
        size_t room = to->room ? to->room * 2 : 16;
        Arg *args = realloc(to->args, room * sizeof(Arg));
        if (!args) { to->failed = 1; return; }
        to->args = args;
        to->room = room;
    }
    to->args[to->len].data = data;
    to->args[to->len].len = len;
    to->len++;
}

/* Reads the arguments that the letters of the format announce; other letters take none. */
static Args gather(const char *format, va_list list) {
    Args to = {0};
    size_t numbers = 0;
    for (const char *p = format; *p; p++) numbers += *p == 'l';
    if (numbers) {
        to.numbers = malloc(numbers * NUMBER_BYTES);
        if (!to.numbers) to.failed = 1;
    }
    for (const char *p = format; *p && !to.failed; p++) {
        if (*p == 'c') {
            const char *text = va_arg(list, const char *);
            push(&to, text, strlen(text));
        } else if (*p == 's') {
            size_t len;
            const char *data = mortise_string_data(va_arg(list, void *), &len);
            push(&to, data, len);
        } else if (*p == 'b') {
            const char *data = va_arg(list, const char *);
            size_t len = va_arg(list, size_t);
            push(&to, data, len);
        } else if (*p == 'l') {
            char *text = to.numbers + to.number_count++ * NUMBER_BYTES;
            int len = snprintf(text, NUMBER_BYTES, "%lld", va_arg(list, long long));
            push(&to, text, (size_t)len);
        } else if (*p == 'v') {
            void **strings = va_arg(list, void **);
            size_t count = va_arg(list, size_t);
            for (size_t i = 0; i < count; i++) {
                size_t len;
                const char *data = mortise_string_data(strings[i], &len);
                push(&to, data, len);
            }
        }
    }
    return to;
}

static void release(Args *args) {
    free(args->args);
    free(args->numbers);
}

void *mortise_api_call(void *ctx, const char *name, const char *format, ...) {
    va_list list;
    va_start(list, format);
    Args args = gather(format, list);
    va_end(list);
    void *reply = args.failed ? NULL : mortise_call(ctx, name, format, args.args, args.len);
    release(&args);
    return reply;
}

int mortise_api_replicate(void *ctx, const char *name, const char *format, ...) {
    va_list list;
    va_start(list, format);
    Args args = gather(format, list);
    va_end(list);
    int result = args.failed ? 1 : mortise_replicate(ctx, name, format, args.args, args.len);
    release(&args);
    return result;
}

void mortise_api_emit_aof(void *io, const char *name, const char *format, ...) {
    va_list list;
    va_start(list, format);
    Args args = gather(format, list);
    va_end(list);
    if (!args.failed) mortise_emit_aof(io, name, args.args, args.len);
    release(&args);
}

/* A printed text: in the given buffer if it fits, else in memory of its own. */
typedef struct { char *data; size_t len; char small[512]; } Text;

static void print(Text *text, const char *format, va_list list) {
    va_list again;
    va_copy(again, list);
    int len = vsnprintf(text->small, sizeof text->small, format, list);
    text->data = text->small;
    text->len = len < 0 ? 0 : (size_t)len;
    if (text->len >= sizeof text->small) {
        char *large = malloc(text->len + 1);
        if (large) {
            vsnprintf(large, text->len + 1, format, again);
            text->data = large;
        } else {
            text->len = sizeof text->small - 1;
        }
    }
    va_end(again);
}

static void discard(Text *text) {
    if (text->data != text->small) free(text->data);
}

void *mortise_api_create_string_printf(void *ctx, const char *format, ...) {
    Text text;
    va_list list;
    va_start(list, format);
    print(&text, format, list);
    va_end(list);
    void *string = mortise_string_of_text(ctx, text.data, text.len);
    discard(&text);
    return string;
}

int mortise_api_reply_with_error_format(void *ctx, const char *format, ...) {
    Text text;
    va_list list;
    va_start(list, format);
    print(&text, format, list);
    va_end(list);
    int result = mortise_reply_error_text(ctx, text.data, text.len);
    discard(&text);
    return result;
}

void mortise_api_log(void *ctx, const char *level, const char *format, ...) {
    Text text;
    va_list list;
    va_start(list, format);
    print(&text, format, list);
    va_end(list);
    mortise_log_text(ctx, level, text.data, text.len);
    discard(&text);
}

void mortise_api_log_io_error(void *io, const char *level, const char *format, ...) {
    Text text;
    va_list list;
    va_start(list, format);
    print(&text, format, list);
    va_end(list);
    mortise_log_io_text(io, level, text.data, text.len);
    discard(&text);
}

int mortise_api_hash_set(void *key, int flags, ...) {
    if ((errno = mortise_hash_check(key, flags, 1))) return 0;
    int updated = 0;
    va_list list;
    va_start(list, flags);
    for (;;) {
        size_t len = 0;
        const char *field;
        if (flags & HASH_CFIELDS) {
            field = va_arg(list, const char *);
            if (!field) break;
            len = strlen(field);
        } else {
            void *string = va_arg(list, void *);
            if (!string) break;
            field = mortise_string_data(string, &len);
        }
        updated += mortise_hash_set_field(key, flags, field, len, va_arg(list, void *));
    }
    va_end(list);
    if (!updated) errno = ENOENT;
    return updated;
}

int mortise_api_hash_get(void *key, int flags, ...) {
    if ((errno = mortise_hash_check(key, flags, 0))) return 1;
    va_list list;
    va_start(list, flags);
    for (;;) {
        size_t len = 0;
        const char *field;
        if (flags & HASH_CFIELDS) {
            field = va_arg(list, const char *);
            if (!field) break;
            len = strlen(field);
        } else {
            void *string = va_arg(list, void *);
            if (!string) break;
            field = mortise_string_data(string, &len);
        }
        if (flags & HASH_EXISTS) {
            int *exists = va_arg(list, int *);
            *exists = mortise_hash_has_field(key, field, len);
        } else if (flags & HASH_EXPIRE_TIME) {
            long long *at = va_arg(list, long long *);
            *at = mortise_hash_field_expire(key, field, len);
        } else {
            void **value = va_arg(list, void **);
            *value = mortise_hash_get_field(key, field, len);
        }
    }
    va_end(list);
    return 0;
}

/* The text of a long double as Redis prints it: %.17Lg, or for people all digits without needless zeros. */
enum { LONG_DOUBLE_TEXT = 5 * 1024 };

static size_t long_double_text(char *text, long double value, int for_people) {
    if (isinf(value)) return (size_t)sprintf(text, value > 0 ? "inf" : "-inf");
    if (isnan(value)) return (size_t)sprintf(text, "nan");
    if (!for_people) return (size_t)snprintf(text, LONG_DOUBLE_TEXT, "%.17Lg", value);
    size_t len = (size_t)snprintf(text, LONG_DOUBLE_TEXT, "%.17Lf", value);
    if (memchr(text, '.', len)) {
        while (text[len - 1] == '0') len--;
        if (text[len - 1] == '.') len--;
    }
    if (len == 2 && text[0] == '-' && text[1] == '0') {
        text[0] = '0';
        len = 1;
    }
    return len;
}

void *mortise_api_create_string_from_long_double(void *ctx, long double value, int for_people) {
    char text[LONG_DOUBLE_TEXT];
    size_t len = long_double_text(text, value, for_people);
    return mortise_string_of_text(ctx, text, len);
}

int mortise_api_string_to_long_double(const void *string, long double *value) {
    size_t len;
    const char *text = mortise_string_data(string, &len);
    char *end;
    if (!len || len >= LONG_DOUBLE_TEXT || strlen(text) != len) return 1;
    if (text[0] == ' ' || (text[0] >= '\t' && text[0] <= '\r')) return 1;
    errno = 0;
    long double read = strtold(text, &end);
    if (end != text + len || isnan(read)) return 1;
    if (errno == ERANGE && (isinf(read) || fpclassify(read) == FP_ZERO)) return 1;
    *value = read;
    return 0;
}

int mortise_api_reply_with_long_double(void *ctx, long double value) {
    char text[LONG_DOUBLE_TEXT];
    size_t len = long_double_text(text, value, 1);
    return mortise_reply_long_double(ctx, text, len);
}

/* In files a long double is a string in hexadecimal, which loses nothing. */
void mortise_api_save_long_double(void *io, long double value) {
    char text[128];
    int len = isinf(value) || isnan(value) ? (int)long_double_text(text, value, 0)
                                           : snprintf(text, sizeof text, "%La", value);
    mortise_save_text(io, text, (size_t)len);
}

long double mortise_api_load_long_double(void *io) {
    char text[256];
    size_t len = mortise_load_text(io, text, sizeof text - 1);
    text[len] = 0;
    return strtold(text, NULL);
}
