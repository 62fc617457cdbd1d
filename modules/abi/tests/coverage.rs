//! Does the table cover the API, and can both sides use it?

use std::collections::BTreeSet;
use std::ffi::{c_char, c_int, c_void};

use mortise_module_abi as abi;

/// Functions that some header of Redis (up to 8.8), Valkey or Redis Enterprise looks up and that
/// the table leaves out: newer than Redis 7.2 and used by no module that we want to load, or never
/// public. Asking for them must find nothing. This list may only shrink.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "cluster",
        &[
            "ClusterCanAccessKeysInSlot",
            "ClusterDisableTrim",
            "ClusterEnableTrim",
            "ClusterFreeSlotRanges",
            "ClusterGetLocalSlotRanges",
            "ClusterKeySlotC",
            "ClusterPropagateForSlotMigration",
            "GetClusterNodeInfoForClient",
            "GetInternalSecret",
        ],
    ),
    ("config", &["UpdateRuntimeArgs"]),
    (
        "enterprise",
        &[
            "BigGetDbPath",
            "BigModuleRegister",
            "BigRegisterDb",
            "BigRegisterDbAddCf",
            "BigUnregisterDb",
            "BigWriteBufferBudgetInit",
            "BigWriteBufferBudgetRelease",
            "DisablePostponeClients",
            "EnablePostponeClients",
            "GetClusterNodeSlotRanges",
            "GetSwapKeyMetadata",
            "IsKeyInRam",
            "SetDataTypeExtensions",
            "SetSwapKeyMetadata",
            "ShardingGetKeySlot",
            "ShardingGetSlotRange",
            "SwapPrefetchKey",
        ],
    ),
    ("key-metadata", &["CreateKeyMetaClass", "GetKeyMeta", "ReleaseKeyMetaClass", "SetKeyMeta"]),
    (
        "scripting-engine",
        &["GetFunctionExecutionState", "RegisterScriptingEngine", "UnregisterScriptingEngine"],
    ),
];

/// All names that the headers look up.
const KNOWN_NAMES: usize = 418;

/// A function that Mortise alone has.
fn is_own(function: &abi::Function) -> bool {
    let own = function.group == "mortise";
    assert_eq!(own, function.name.starts_with("Mortise"), "{}", function.name);
    own
}

#[test]
fn every_known_name_is_declared_or_left_out() {
    let declared: BTreeSet<&str> = abi::FUNCTIONS.iter().map(|function| function.name).collect();
    assert_eq!(declared.len(), abi::FUNCTIONS.len(), "a name occurs twice");
    let declared: BTreeSet<&str> =
        abi::FUNCTIONS.iter().filter(|one| !is_own(one)).map(|one| one.name).collect();
    let left_out: BTreeSet<&str> = LEFT_OUT.iter().flat_map(|(_, names)| *names).copied().collect();
    assert!(declared.is_disjoint(&left_out));
    assert_eq!(declared.len() + left_out.len(), KNOWN_NAMES);
}

#[test]
fn kinds_are_what_rust_can_do() {
    let of = |kind| {
        let functions = abi::FUNCTIONS.iter().filter(move |function| function.kind == kind);
        functions.map(|function| function.name).collect::<Vec<_>>()
    };
    let mut variadic = of(abi::Kind::Variadic);
    variadic.sort_unstable();
    assert_eq!(
        variadic,
        [
            "Call",
            "CreateStringPrintf",
            "EmitAOF",
            "HashGet",
            "HashSet",
            "Log",
            "LogIOError",
            "Replicate",
            "ReplyWithErrorFormat",
        ]
    );
    assert_eq!(of(abi::Kind::LongDouble).len(), 4);
}

#[test]
fn releases_are_versions() {
    for function in abi::FUNCTIONS {
        let parts: Vec<u32> =
            function.since.split('.').map(|part| part.parse().expect("a number")).collect();
        let releases = if is_own(function) { 0..=0 } else { 4..=8 };
        assert!(parts.len() == 3 && releases.contains(&parts[0]), "{}", function.name);
        assert!(!function.group.is_empty());
    }
}

extern "C" fn select_db(_ctx: *mut abi::Ctx, _db: c_int) -> c_int {
    abi::OK
}

/// The server's side: an implementation is checked against the signature and put into a table.
#[test]
fn a_definition_is_checked_against_the_table() {
    let checked: abi::api::SelectDb = select_db;
    let table: [(&str, *const c_void); 1] = [("SelectDb", checked as *const c_void)];
    assert!(abi::FUNCTIONS.iter().any(|function| function.name == table[0].0));
}

/// The module's side: a struct of optional pointers.
#[test]
fn a_struct_of_pointers_can_be_derived() {
    macro_rules! pointers {
        ($($group:literal { $(
            $kind:ident $name:ident $since:literal ($($param:tt)*) $(-> $ret:ty)?;
        )* })*) => {
            #[derive(Default)]
            #[allow(non_snake_case, dead_code, reason = "fields are named after functions")]
            struct Pointers { $($($name: Option<abi::api::$name>,)*)* }
        };
    }
    mortise_module_abi::for_each_api!(pointers);

    let pointers = Pointers { SelectDb: Some(select_db), ..Pointers::default() };
    assert!(pointers.SelectDb.is_some() && pointers.OpenKey.is_none());
    assert_eq!(size_of::<Pointers>(), abi::FUNCTIONS.len() * size_of::<*const c_char>());
}
