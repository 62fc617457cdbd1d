/* A module whose commands do next to nothing: what they cost is what calling a module costs. For
   module_call.py, which builds it. It declares the little of the module interface that it uses. */

typedef struct Ctx {
    int (*get_api)(const char *name, void *out);
} Ctx;

typedef int (*Command)(Ctx *ctx, void **argv, int argc);

static void (*set_attribs)(Ctx *ctx, const char *name, int version, int api);
static int (*create_command)(Ctx *ctx, const char *name, Command run, const char *flags, int first,
                             int last, int step);
static int (*reply_int)(Ctx *ctx, long long value);
static int (*key_exists)(Ctx *ctx, void *name);

/* Answers how many words it got. */
static int count(Ctx *ctx, void **argv, int argc) {
    (void)argv;
    return reply_int(ctx, argc);
}

/* Answers whether a key is there. */
static int exists(Ctx *ctx, void **argv, int argc) {
    return reply_int(ctx, argc > 1 && key_exists(ctx, argv[1]));
}

int RedisModule_OnLoad(Ctx *ctx, void **argv, int argc) {
    (void)argv, (void)argc;
    if (ctx->get_api("RedisModule_SetModuleAttribs", &set_attribs) ||
        ctx->get_api("RedisModule_CreateCommand", &create_command) ||
        ctx->get_api("RedisModule_ReplyWithLongLong", &reply_int) ||
        ctx->get_api("RedisModule_KeyExists", &key_exists))
        return 1;
    set_attribs(ctx, "bench", 1, 1);
    return create_command(ctx, "bench.count", count, "readonly fast", 0, 0, 0) ||
           create_command(ctx, "bench.exists", exists, "readonly fast", 1, 1, 1);
}
