/* A module that reads documents by the functions of rejson_api.h, for tests/shared_api.rs, which compiles it. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MORTISE_REJSON_API_STANDALONE
#include "rejson_api.h"

#define OK 0
#define ERR 1

static int (*CreateCommand)(RedisModuleCtx *, const char *, int (*)(RedisModuleCtx *, RedisModuleString **, int),
                            const char *, int, int, int);
static int (*SetModuleAttribs)(RedisModuleCtx *, const char *, int, int);
static int (*ReplyWithStringBuffer)(RedisModuleCtx *, const char *, size_t);
static int (*ReplyWithString)(RedisModuleCtx *, RedisModuleString *);
static int (*ReplyWithError)(RedisModuleCtx *, const char *);
static int (*ReplyWithLongLong)(RedisModuleCtx *, long long);
static int (*ReplyWithArray)(RedisModuleCtx *, long);
static const char *(*StringPtrLen)(const RedisModuleString *, size_t *);
static void (*FreeString)(RedisModuleCtx *, RedisModuleString *);
static RedisModuleKey *(*OpenKey)(RedisModuleCtx *, RedisModuleString *, int);
static void (*CloseKey)(RedisModuleKey *);
static void *(*GetSharedAPI)(RedisModuleCtx *, const char *);

static const RedisJSONAPI *json;

/* What a value is, found by everything that the table has for its type. */
typedef struct Out {
    char text[4096];
    size_t len;
} Out;

static void say(Out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(Out *out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(out->text + out->len, sizeof(out->text) - out->len, format, arguments);
    va_end(arguments);
    if (written > 0) out->len += (size_t)written;
    if (out->len >= sizeof(out->text)) out->len = sizeof(out->text) - 1;
}

static void describe(Out *out, RedisJSON value) {
    long long integer;
    double number;
    int boolean;
    const char *text;
    size_t len;
    switch (json->getType(value)) {
    case JSONType_String:
        if (json->getString(value, &text, &len) == OK) say(out, "s(%.*s)", (int)len, text);
        if (json->getInt(value, &integer) == OK || json->getLen(value, &len) != OK) say(out, "?");
        break;
    case JSONType_Int:
        if (json->getInt(value, &integer) == OK) say(out, "i%lld", integer);
        if (json->getDouble(value, &number) != OK || number != (double)integer) say(out, "?");
        break;
    case JSONType_Double:
        if (json->getDouble(value, &number) == OK) say(out, "d%g", number);
        if (json->getInt(value, &integer) == OK) say(out, "?");
        break;
    case JSONType_Bool:
        if (json->getBoolean(value, &boolean) == OK) say(out, "b%d", boolean);
        break;
    case JSONType_Array: {
        JSONArrayType type = JSONArrayType_I8;
        const void *numbers = json->getArray(value, &len, &type);
        size_t count = 0;
        if (numbers == NULL || json->getLen(value, &count) != OK || count != len) say(out, "?");
        say(out, "[");
        RedisJSONPtr place = json->allocJson();
        for (size_t i = 0; i < len && i < 5; i++) {
            if (i) say(out, ",");
            if (json->getAt(value, i, place) != OK) say(out, "?");
            describe(out, *place);
            if (type == JSONArrayType_I64 && json->getInt(*place, &integer) == OK &&
                ((const long long *)numbers)[i] != integer) say(out, "?");
        }
        if (json->getAt(value, len, place) == OK || *place != NULL) say(out, "?");
        json->freeJson(place);
        if (type == JSONArrayType_I64) say(out, " of %zu i64", len);
        if (type == JSONArrayType_F64) say(out, " of %zu f64", len);
        say(out, "]");
        break;
    }
    case JSONType_Object: {
        JSONKeyValuesIterator members = json->getKeyValues(value);
        RedisJSONPtr place = json->allocJson();
        RedisModuleString *name;
        int first = 1;
        say(out, "{");
        while (json->nextKeyValue(members, &name, place) == OK) {
            text = StringPtrLen(name, &len);
            say(out, "%s%.*s:", first ? "" : ",", (int)len, text);
            FreeString(NULL, name);
            describe(out, *place);
            first = 0;
        }
        say(out, "}");
        json->freeJson(place);
        json->freeKeyValuesIter(members);
        break;
    }
    case JSONType_Null:
        say(out, "n");
        break;
    default:
        say(out, "?");
    }
}

static const char *c_text(RedisModuleString *string) {
    return StringPtrLen(string, NULL);
}

/* READER.WALK key path: each match, twice: by the text of the path and by the path parsed. */
static int walk(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3) return ReplyWithError(ctx, "ERR key path");
    RedisJSON root = json->openKey(ctx, argv[1]);
    if (root != json->openKeyFromStr(ctx, c_text(argv[1])) || root != json->openKeyWithFlags(ctx, argv[1], 0)) {
        return ReplyWithError(ctx, "ERR three ways to open a key");
    }
    if (root == NULL) return ReplyWithError(ctx, "ERR no document");
    JSONResultsIterator matches = json->get(root, c_text(argv[2]));
    if (matches == NULL) return ReplyWithError(ctx, "ERR no path");
    RedisModuleString *message = NULL;
    JSONPath path = json->pathParse(c_text(argv[2]), ctx, &message);
    JSONResultsIterator again = json->getWithPath(root, path);
    json->pathFree(path);
    size_t count = json->len(matches);
    ReplyWithArray(ctx, (long)count);
    for (size_t i = 0; i < count; i++) {
        Out one = {.len = 0}, two = {.len = 0};
        describe(&one, json->next(matches));
        describe(&two, json->next(again));
        if (strcmp(one.text, two.text) != 0) say(&one, " is not %s", two.text);
        ReplyWithStringBuffer(ctx, one.text, one.len);
    }
    if (json->next(matches) != NULL) return ERR;
    json->resetIter(matches);
    if (count > 0 && json->next(matches) == NULL) return ERR;
    json->freeIter(matches);
    json->freeIter(again);
    return OK;
}

/* READER.TEXT key path: the first match as text, and all of them. */
static int text(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 3) return ReplyWithError(ctx, "ERR key path");
    RedisJSON root = json->openKey(ctx, argv[1]);
    JSONResultsIterator matches = root ? json->get(root, c_text(argv[2])) : NULL;
    RedisModuleString *one = NULL, *all = NULL;
    if (matches == NULL || json->getJSONFromIter(matches, ctx, &all) != OK) {
        if (matches) json->freeIter(matches);
        return ReplyWithError(ctx, "ERR nothing");
    }
    json->getJSON(json->next(matches), ctx, &one);
    json->freeIter(matches);
    ReplyWithArray(ctx, 2);
    ReplyWithString(ctx, one);
    ReplyWithString(ctx, all);
    FreeString(ctx, one);
    FreeString(ctx, all);
    return OK;
}

/* READER.PATH path: 1 if it matches one place only, else 0, or why it cannot be read. */
static int path(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2) return ReplyWithError(ctx, "ERR path");
    RedisModuleString *message = NULL;
    JSONPath path = json->pathParse(c_text(argv[1]), ctx, &message);
    if (path == NULL) {
        ReplyWithError(ctx, message ? c_text(message) : "ERR no message");
        if (message) FreeString(ctx, message);
        return OK;
    }
    int single = json->pathIsSingle(path);
    if (json->pathHasDefinedOrder(path) != single) single = -1;
    json->pathFree(path);
    return ReplyWithLongLong(ctx, single);
}

/* READER.HANDLE key: the document of a key that this module has opened. */
static int handle(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2) return ReplyWithError(ctx, "ERR key");
    RedisModuleKey *key = OpenKey(ctx, argv[1], 1);
    RedisJSON root = json->getJsonFromHandle(key);
    int is = key ? json->isJSON(key) : 0;
    Out out = {.len = 0};
    if (root) describe(&out, root);
    if (key) CloseKey(key);
    if ((root != NULL) != is) return ReplyWithError(ctx, "ERR isJSON and getJsonFromHandle differ");
    if (!is) return ReplyWithLongLong(ctx, 0);
    return ReplyWithStringBuffer(ctx, out.text, out.len);
}

/* READER.VERSION name: whether the table is there under this name. */
static int version(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    if (argc != 2) return ReplyWithError(ctx, "ERR name");
    json = GetSharedAPI(ctx, c_text(argv[1]));
    return ReplyWithLongLong(ctx, json != NULL);
}

#define FIND(name) if (get_api("RedisModule_" #name, (void *)&name) != OK) return ERR
#define COMMAND(name, function) \
    if (CreateCommand(ctx, name, function, "readonly", 1, 1, 1) != OK) return ERR

int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    (void)argv;
    (void)argc;
    int (*get_api)(const char *, void *) = (int (*)(const char *, void *))((void **)ctx)[0];
    FIND(CreateCommand);
    FIND(SetModuleAttribs);
    FIND(ReplyWithStringBuffer);
    FIND(ReplyWithString);
    FIND(ReplyWithError);
    FIND(ReplyWithLongLong);
    FIND(ReplyWithArray);
    FIND(StringPtrLen);
    FIND(FreeString);
    FIND(OpenKey);
    FIND(CloseKey);
    FIND(GetSharedAPI);
    SetModuleAttribs(ctx, "reader", 1, 1);
    COMMAND("reader.walk", walk);
    COMMAND("reader.text", text);
    COMMAND("reader.path", path);
    COMMAND("reader.handle", handle);
    COMMAND("reader.version", version);
    return OK;
}
