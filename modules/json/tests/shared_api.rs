//! Can a module written in C read documents by the functions that RedisJSON exports, in every server?
//!
//! `reader.c` is compiled by the C compiler of the machine and loaded beside the module. Without a compiler the test
//! passes, saying so.

#[path = "../../sdk/tests/client/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the SDK, which use more of it")]
mod client;

use std::path::{Path, PathBuf};
use std::process::Command;

use client::{Client, check, library, with_modules};

/// The reader as a shared library; none without a compiler.
fn reader() -> Option<PathBuf> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = library("mortise_json").with_file_name("libreader.so");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let status = Command::new(compiler)
        .args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1"])
        .arg("-I")
        .arg(package.join("include"))
        .arg("-o")
        .arg(&out)
        .arg(package.join("tests/reader.c"))
        .status();
    match status {
        Err(error) => {
            eprintln!("skipped: no C compiler: {error}");
            None
        }
        Ok(status) => {
            assert!(status.success(), "reader.c compiles");
            Some(out)
        }
    }
}

fn with_reader(test: impl Fn(&mut Client)) {
    let Some(reader) = reader() else { return };
    with_modules(&[library("mortise_json"), reader], &[], |_, client| test(client));
}

#[test]
fn c_modules_read_documents() {
    with_reader(|client| {
        for version in 1..=9 {
            assert_eq!(client.run(&format!("READER.VERSION RedisJSON_V{version}")), ":1");
        }
        let numbers: Vec<String> = (0..3000).map(|i| i.to_string()).collect();
        let floats: Vec<String> = (0..3000).map(|i| format!("{i}.0625")).collect();
        client.run(r#"JSON.SET k $ {"s":"text","i":-5,"u":18446744073709551615,"d":1.5,"t":true,"f":false,"n":null,"a":[1,"x",[2]],"o":{"p":{"q":7}},"e":[]}"#);
        client.run(&format!(
            r#"JSON.SET long $ {{"i":[{}],"d":[{}],"o":{{}}}}"#,
            numbers.join(","),
            floats.join(",")
        ));
        client.run("SET text v");
        check(
            client,
            &[
                ("READER.WALK k $.s", "*[\"s(text)\"]"),
                (
                    "READER.WALK k $",
                    "*[\"{s:s(text),i:i-5,u:d1.84467e+19,d:d1.5,t:b1,f:b0,n:n,a:[i1,s(x),[i2]],o:{p:{q:i7}},e:[]}\"]",
                ),
                ("READER.WALK k $..q", "*[\"i7\"]"),
                ("READER.WALK k $.a[*]", "*[\"i1\" \"s(x)\" \"[i2]\"]"),
                ("READER.WALK k $.nothing", "*[]"),
                ("READER.WALK long $.i", "*[\"[i0,i1,i2,i3,i4 of 3000 i64]\"]"),
                (
                    "READER.WALK long $.d",
                    "*[\"[d0.0625,d1.0625,d2.0625,d3.0625,d4.0625 of 3000 f64]\"]",
                ),
                ("READER.WALK long $.d[2999]", "*[\"d2999.06\"]"),
                ("READER.WALK long $.o", "*[\"{}\"]"),
                ("READER.WALK text $", "-ERR no document"),
                ("READER.WALK missing $", "-ERR no document"),
                ("READER.WALK k $.[", "-ERR no path"),
                ("READER.TEXT k $.a[*]", "*[\"1\" \"[1,\\\"x\\\",[2]]\"]"),
                ("READER.TEXT k $.nothing", "-ERR nothing"),
                ("READER.PATH $.a.b[0]", ":1"),
                ("READER.PATH $.a[*]", ":0"),
                ("READER.PATH $..a", ":0"),
                ("READER.HANDLE missing", ":0"),
                ("READER.HANDLE text", ":0"),
                ("JSON.SET small $ 5", "+OK"),
                ("READER.HANDLE small", "\"i5\""),
            ],
        );
        let refused = client.run("READER.PATH $.[");
        assert!(refused.starts_with("-Error occurred at position"), "{refused}");
    });
}
