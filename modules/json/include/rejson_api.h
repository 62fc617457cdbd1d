/*
 * How do modules written in C read JSON documents? Names and order of the functions are those that RedisJSON exports.
 *
 *     const RedisJSONAPI *json = RedisModule_GetSharedAPI(ctx, "RedisJSON_V6");
 *
 * A table of version N has at least the functions up to N; all versions are the same table here. A value (`RedisJSON`) is
 * good until its document is written to, and while the caller keeps the server's lock; one that came from an iterator or
 * was written into a place also goes with that. Functions that return int answer REDISMODULE_OK or REDISMODULE_ERR
 * unless something else is said.
 */
#ifndef MORTISE_REJSON_API_H
#define MORTISE_REJSON_API_H

#include <stddef.h>

/* Before this file comes redismodule.h, or declarations of the types that stand here. */
#ifdef MORTISE_REJSON_API_STANDALONE
typedef struct RedisModuleCtx RedisModuleCtx;
typedef struct RedisModuleString RedisModuleString;
typedef struct RedisModuleKey RedisModuleKey;
#endif

typedef enum JSONType {
    JSONType_String = 0,
    JSONType_Int = 1,
    JSONType_Double = 2,
    JSONType_Bool = 3,
    JSONType_Object = 4,
    JSONType_Array = 5,
    JSONType_Null = 6,
    JSONType__EOF
} JSONType;

typedef enum JSONArrayType {
    JSONArrayType_Heterogeneous = 0,
    JSONArrayType_I8 = 1,
    JSONArrayType_U8 = 2,
    JSONArrayType_I16 = 3,
    JSONArrayType_U16 = 4,
    JSONArrayType_F16 = 5,
    JSONArrayType_BF16 = 6,
    JSONArrayType_I32 = 7,
    JSONArrayType_U32 = 8,
    JSONArrayType_F32 = 9,
    JSONArrayType_I64 = 10,
    JSONArrayType_U64 = 11,
    JSONArrayType_F64 = 12
} JSONArrayType;

typedef const void *RedisJSON;
typedef RedisJSON *RedisJSONPtr;
typedef const void *JSONResultsIterator;
typedef const void *JSONPath;
typedef const void *JSONKeyValuesIterator;

typedef struct RedisJSONAPI {
    /* Version 1. The document of a key, or NULL. */
    RedisJSON (*openKey)(RedisModuleCtx *ctx, RedisModuleString *key_name);
    RedisJSON (*openKeyFromStr)(RedisModuleCtx *ctx, const char *key_name);
    /* What a path matches; NULL for a path that cannot be read. */
    JSONResultsIterator (*get)(RedisJSON json, const char *path);
    /* The next match, or NULL behind the last one. */
    RedisJSON (*next)(JSONResultsIterator iter);
    size_t (*len)(JSONResultsIterator iter);
    void (*freeIter)(JSONResultsIterator iter);
    /* Elements, members, or bytes of a string. */
    int (*getLen)(RedisJSON json, size_t *count);
    JSONType (*getType)(RedisJSON json);
    int (*getInt)(RedisJSON json, long long *integer);
    int (*getDouble)(RedisJSON json, double *dbl);
    int (*getBoolean)(RedisJSON json, int *boolean);
    /* The bytes of a string; no NUL follows them. */
    int (*getString)(RedisJSON json, const char **str, size_t *len);
    /* JSON text, which the caller owns. */
    int (*getJSON)(RedisJSON json, RedisModuleCtx *ctx, RedisModuleString **str);
    /* 1 if the key holds a document, else 0. */
    int (*isJSON)(RedisModuleKey *redis_key);

    /* Version 2. NULL if the path cannot be read; the caller then owns the message. */
    JSONPath (*pathParse)(const char *path, RedisModuleCtx *ctx, RedisModuleString **err_msg);
    void (*pathFree)(JSONPath path);
    /* 1 or 0: whether it matches one place at most; whether its matches have an order. */
    int (*pathIsSingle)(JSONPath path);
    int (*pathHasDefinedOrder)(JSONPath path);

    /* Version 3. The text of all matches as an array, which the caller owns. */
    int (*getJSONFromIter)(JSONResultsIterator iter, RedisModuleCtx *ctx, RedisModuleString **str);
    void (*resetIter)(JSONResultsIterator iter);

    /* Version 4. The members of an object; NULL for another value. */
    JSONKeyValuesIterator (*getKeyValues)(RedisJSON json);
    void (*freeKeyValuesIter)(JSONKeyValuesIterator iter);

    /* Version 5. As openKey, with flags of RedisModule_OpenKey. */
    RedisJSON (*openKeyWithFlags)(RedisModuleCtx *ctx, RedisModuleString *key_name, int flags);

    /* Version 6. A place for a value, which the next two functions fill. The caller owns the name of a member. */
    RedisJSONPtr (*allocJson)(void);
    int (*getAt)(RedisJSON json, size_t index, RedisJSONPtr ptr);
    int (*nextKeyValue)(JSONKeyValuesIterator iter, RedisModuleString **key_name, RedisJSONPtr ptr);
    void (*freeJson)(RedisJSONPtr ptr);

    /* Version 7. The numbers of an array that has only numbers of one type, and which type that is; of another array
     * nothing that may be read (JSONArrayType_Heterogeneous); NULL if it is no array. */
    const void *(*getArray)(RedisJSON json, size_t *len, JSONArrayType *type);

    /* Version 8. The document of an open key, or NULL. */
    RedisJSON (*getJsonFromHandle)(RedisModuleKey *redis_key);

    /* Version 9. As get, with a parsed path. */
    JSONResultsIterator (*getWithPath)(RedisJSON json, JSONPath path);
} RedisJSONAPI;

#define RedisJSONAPI_LATEST_API_VER 9

#endif
