//! Which functions work on keys and on values of modules' own types, and what is the C signature of each?
//!
//! A part of the table in `table.rs`, which says how to read it.

/// Calls `$callback!` with what stands in front of this part, with this part, and with the newer one.
#[doc(hidden)]
#[macro_export]
macro_rules! with_data_api {
    ($callback:ident $($older:tt)*) => {
        $crate::with_newer_api! { $callback
        $($older)*
        "keys" {
            fixed KeyExists "7.0.0" (ctx: *mut Ctx, keyname: *mut ModuleString) -> c_int;
            fixed OpenKey "4.0.0" (
                ctx: *mut Ctx, keyname: *mut ModuleString, mode: c_int
            ) -> *mut Key;
            fixed GetOpenKeyModesAll "7.2.0" () -> c_int;
            fixed CloseKey "4.0.0" (kp: *mut Key);
            fixed KeyType "4.0.0" (kp: *mut Key) -> c_int;
            fixed ValueLength "4.0.0" (kp: *mut Key) -> usize;
            fixed DeleteKey "4.0.0" (key: *mut Key) -> c_int;
            fixed UnlinkKey "4.0.7" (key: *mut Key) -> c_int;
            fixed GetExpire "4.0.0" (key: *mut Key) -> c_longlong;
            fixed SetExpire "4.0.0" (key: *mut Key, expire: c_longlong) -> c_int;
            fixed GetAbsExpire "6.2.2" (key: *mut Key) -> c_longlong;
            fixed SetAbsExpire "6.2.2" (key: *mut Key, expire: c_longlong) -> c_int;
            fixed ResetDataset "6.0.0" (restart_aof: c_int, in_background: c_int);
            fixed DbSize "6.0.0" (ctx: *mut Ctx) -> c_ulonglong;
            fixed RandomKey "6.0.0" (ctx: *mut Ctx) -> *mut ModuleString;
            fixed SignalModifiedKey "6.0.0" (ctx: *mut Ctx, keyname: *mut ModuleString) -> c_int;
            fixed GetDbIdFromOptCtx "7.0.0" (ctx: *mut KeyOptCtx) -> c_int;
            fixed GetToDbIdFromOptCtx "7.0.0" (ctx: *mut KeyOptCtx) -> c_int;
            fixed GetKeyNameFromOptCtx "7.0.0" (ctx: *mut KeyOptCtx) -> *const ModuleString;
            fixed GetToKeyNameFromOptCtx "7.0.0" (ctx: *mut KeyOptCtx) -> *const ModuleString;
        }
        "key-string" {
            fixed StringSet "4.0.0" (key: *mut Key, str: *mut ModuleString) -> c_int;
            fixed StringDMA "4.0.0" (key: *mut Key, len: *mut usize, mode: c_int) -> *mut c_char;
            fixed StringTruncate "4.0.0" (key: *mut Key, newlen: usize) -> c_int;
        }
        "key-list" {
            fixed ListPush "4.0.0" (kp: *mut Key, end: c_int, ele: *mut ModuleString) -> c_int;
            fixed ListPop "4.0.0" (key: *mut Key, end: c_int) -> *mut ModuleString;
            fixed ListGet "7.0.0" (key: *mut Key, index: c_long) -> *mut ModuleString;
            fixed ListSet "7.0.0" (key: *mut Key, index: c_long, value: *mut ModuleString) -> c_int;
            fixed ListInsert "7.0.0" (
                key: *mut Key, index: c_long, value: *mut ModuleString
            ) -> c_int;
            fixed ListDelete "7.0.0" (key: *mut Key, index: c_long) -> c_int;
        }
        "key-hash" {
            variadic HashSet "4.0.0" (key: *mut Key, flags: c_int, ...) -> c_int;
            variadic HashGet "4.0.0" (key: *mut Key, flags: c_int, ...) -> c_int;
            fixed HashFieldMinExpire "8.0.0" (key: *mut Key) -> c_longlong;
        }
        "key-zset" {
            fixed ZsetAdd "4.0.0" (
                key: *mut Key, score: f64, ele: *mut ModuleString, flagsptr: *mut c_int
            ) -> c_int;
            fixed ZsetIncrby "4.0.0" (
                key: *mut Key, score: f64, ele: *mut ModuleString, flagsptr: *mut c_int,
                newscore: *mut f64
            ) -> c_int;
            fixed ZsetScore "4.0.0" (
                key: *mut Key, ele: *mut ModuleString, score: *mut f64
            ) -> c_int;
            fixed ZsetRem "4.0.0" (
                key: *mut Key, ele: *mut ModuleString, deleted: *mut c_int
            ) -> c_int;
            fixed ZsetRangeStop "4.0.0" (key: *mut Key);
            fixed ZsetFirstInScoreRange "4.0.0" (
                key: *mut Key, min: f64, max: f64, minex: c_int, maxex: c_int
            ) -> c_int;
            fixed ZsetLastInScoreRange "4.0.0" (
                key: *mut Key, min: f64, max: f64, minex: c_int, maxex: c_int
            ) -> c_int;
            fixed ZsetFirstInLexRange "4.0.0" (
                key: *mut Key, min: *mut ModuleString, max: *mut ModuleString
            ) -> c_int;
            fixed ZsetLastInLexRange "4.0.0" (
                key: *mut Key, min: *mut ModuleString, max: *mut ModuleString
            ) -> c_int;
            fixed ZsetRangeCurrentElement "4.0.0" (
                key: *mut Key, score: *mut f64
            ) -> *mut ModuleString;
            fixed ZsetRangeNext "4.0.0" (key: *mut Key) -> c_int;
            fixed ZsetRangePrev "4.0.0" (key: *mut Key) -> c_int;
            fixed ZsetRangeEndReached "4.0.0" (key: *mut Key) -> c_int;
        }
        "key-stream" {
            fixed StreamAdd "6.2.0" (
                key: *mut Key, flags: c_int, id: *mut StreamId, argv: *mut *mut ModuleString,
                numfields: i64
            ) -> c_int;
            fixed StreamDelete "6.2.0" (key: *mut Key, id: *mut StreamId) -> c_int;
            fixed StreamIteratorStart "6.2.0" (
                key: *mut Key, flags: c_int, startid: *mut StreamId, endid: *mut StreamId
            ) -> c_int;
            fixed StreamIteratorStop "6.2.0" (key: *mut Key) -> c_int;
            fixed StreamIteratorNextID "6.2.0" (
                key: *mut Key, id: *mut StreamId, numfields: *mut c_long
            ) -> c_int;
            fixed StreamIteratorNextField "6.2.0" (
                key: *mut Key, field_ptr: *mut *mut ModuleString, value_ptr: *mut *mut ModuleString
            ) -> c_int;
            fixed StreamIteratorDelete "6.2.0" (key: *mut Key) -> c_int;
            fixed StreamTrimByLength "6.2.0" (
                key: *mut Key, flags: c_int, length: c_longlong
            ) -> c_longlong;
            fixed StreamTrimByID "6.2.0" (
                key: *mut Key, flags: c_int, id: *mut StreamId
            ) -> c_longlong;
        }
        "types" {
            fixed CreateDataType "4.0.0" (
                ctx: *mut Ctx, name: *const c_char, encver: c_int, typemethods: *mut TypeMethods
            ) -> *mut ModuleType;
            fixed ModuleTypeSetValue "4.0.0" (
                key: *mut Key, mt: *mut ModuleType, value: *mut c_void
            ) -> c_int;
            fixed ModuleTypeReplaceValue "6.0.0" (
                key: *mut Key, mt: *mut ModuleType, new_value: *mut c_void,
                old_value: *mut *mut c_void
            ) -> c_int;
            fixed ModuleTypeGetType "4.0.0" (key: *mut Key) -> *mut ModuleType;
            fixed ModuleTypeGetValue "4.0.0" (key: *mut Key) -> *mut c_void;
            fixed GetTypeMethodVersion "6.2.0" () -> c_int;
        }
        "rdb-io" {
            fixed IsIOError "6.0.0" (io: *mut IO) -> c_int;
            fixed SaveUnsigned "4.0.0" (io: *mut IO, value: u64);
            fixed LoadUnsigned "4.0.0" (io: *mut IO) -> u64;
            fixed SaveSigned "4.0.0" (io: *mut IO, value: i64);
            fixed LoadSigned "4.0.0" (io: *mut IO) -> i64;
            fixed SaveString "4.0.0" (io: *mut IO, s: *mut ModuleString);
            fixed SaveStringBuffer "4.0.0" (io: *mut IO, str: *const c_char, len: usize);
            fixed LoadString "4.0.0" (io: *mut IO) -> *mut ModuleString;
            fixed LoadStringBuffer "4.0.0" (io: *mut IO, lenptr: *mut usize) -> *mut c_char;
            fixed SaveDouble "4.0.0" (io: *mut IO, value: f64);
            fixed LoadDouble "4.0.0" (io: *mut IO) -> f64;
            fixed SaveFloat "4.0.0" (io: *mut IO, value: f32);
            fixed LoadFloat "4.0.0" (io: *mut IO) -> f32;
            long_double SaveLongDouble "6.0.0" (io: *mut IO, value: LongDouble);
            long_double LoadLongDouble "6.0.0" (io: *mut IO) -> LongDouble;
            fixed GetContextFromIO "4.0.0" (io: *mut IO) -> *mut Ctx;
            fixed GetKeyNameFromIO "5.0.5" (io: *mut IO) -> *const ModuleString;
            fixed GetKeyNameFromModuleKey "6.0.0" (key: *mut Key) -> *const ModuleString;
            fixed GetDbIdFromModuleKey "7.0.0" (key: *mut Key) -> c_int;
            fixed GetDbIdFromIO "7.0.0" (io: *mut IO) -> c_int;
        }
        "aof" {
            variadic EmitAOF "4.0.0" (io: *mut IO, cmdname: *const c_char, fmt: *const c_char, ...);
        }
        "digest" {
            fixed LoadDataTypeFromString "6.0.0" (
                str: *const ModuleString, mt: *const ModuleType
            ) -> *mut c_void;
            fixed LoadDataTypeFromStringEncver "7.0.0" (
                str: *const ModuleString, mt: *const ModuleType, encver: c_int
            ) -> *mut c_void;
            fixed SaveDataTypeToString "6.0.0" (
                ctx: *mut Ctx, data: *mut c_void, mt: *const ModuleType
            ) -> *mut ModuleString;
            fixed DigestAddStringBuffer "4.0.0" (md: *mut Digest, ele: *const c_char, len: usize);
            fixed DigestAddLongLong "4.0.0" (md: *mut Digest, ele: c_longlong);
            fixed DigestEndSequence "4.0.0" (md: *mut Digest);
            fixed GetDbIdFromDigest "7.0.0" (dig: *mut Digest) -> c_int;
            fixed GetKeyNameFromDigest "7.0.0" (dig: *mut Digest) -> *const ModuleString;
        }
        }
    };
}
