//! What does the report say? Written piece by piece to the log, from inside a signal handler.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use super::super::api::with_missing;
use super::super::handle::ModuleCtx;
use super::super::host::Module;
use super::{LOG, Missing, Note, caller};

/// Names of missing functions that are told.
const NAMES_MAX: usize = 32;

/// Text on its way to the log.
struct Out {
    fd: c_int,
    buffer: [u8; 512],
    len: usize,
}

impl Out {
    fn open() -> Self {
        let path = LOG.get().map(|path| path.as_ptr());
        let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC;
        // SAFETY: the path is a C string that lives for ever.
        let fd = path.map_or(-1, |path| unsafe { libc::open(path, flags, 0o644) });
        Out { fd: if fd < 0 { libc::STDOUT_FILENO } else { fd }, buffer: [0; 512], len: 0 }
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for byte in text.bytes() {
            if self.len == self.buffer.len() {
                self.flush();
            }
            if let Some(place) = self.buffer.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        self
    }

    fn number(&mut self, number: i64) -> &mut Self {
        if number < 0 {
            self.text("-");
        }
        self.digits(number.unsigned_abs(), 10)
    }

    fn address(&mut self, address: usize) -> &mut Self {
        self.text("0x").digits(address as u64, 16)
    }

    fn digits(&mut self, mut number: u64, base: u64) -> &mut Self {
        let mut digits = [b'0'; 20];
        let mut at = digits.len();
        while at > 0 {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(number % base) as usize];
            number /= base;
            if number == 0 {
                break;
            }
        }
        self.text(std::str::from_utf8(&digits[at..]).unwrap_or_default())
    }

    fn flush(&mut self) {
        let mut rest = &self.buffer[..self.len];
        while !rest.is_empty() {
            // SAFETY: the bytes are ours.
            let written = unsafe { libc::write(self.fd, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) if written > 0 => rest = rest.get(written..).unwrap_or_default(),
                _ => break,
            }
        }
        self.len = 0;
    }

    /// Begins a line as Redis has those of its handlers.
    fn line(&mut self) -> &mut Self {
        // SAFETY: plain system calls.
        let (pid, now) = unsafe { (libc::getpid(), libc::time(std::ptr::null_mut())) };
        self.number(i64::from(pid)).text(":signal-handler (").number(now).text(") ")
    }

    fn end(&mut self) {
        self.text("\n").flush();
    }
}

/// Writes one line.
pub(super) fn write_line(line: &str) {
    Out::open().line().text(line).end();
}

fn name_of(signal: c_int) -> &'static str {
    match signal {
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGILL => "SIGILL",
        libc::SIGABRT => "SIGABRT",
        _ => "a signal",
    }
}

/// Writes the report.
///
/// # Safety
/// The modules and contexts of the notes, the innermost last, are alive; `info` and `context` are what the system has
/// handed to the handler.
pub(super) unsafe fn write(
    notes: &[Cell<Note>],
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    let Some(note) = notes.last().map(Cell::get) else { return };
    // SAFETY: the system has filled it in.
    let (code, accessed) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
    let at = caller::instruction(context);
    let mut out = Out::open();
    out.text("\n\n").line().text("=== MORTISE BUG REPORT START ===").end();
    out.line().text("Mortise ").text(env!("CARGO_PKG_VERSION")).text(" crashed by signal ");
    out.number(i64::from(signal)).text(" (").text(name_of(signal)).text("), si_code ");
    out.number(i64::from(code)).end();
    if matches!(signal, libc::SIGSEGV | libc::SIGBUS) {
        out.line().text("accessing address ").address(accessed).end();
    }
    if let Some(at) = at {
        out.line().text("at instruction ").address(at);
        // SAFETY: passed on.
        let module = unsafe { module_of(&note) };
        if let Some((module, code)) = module.and_then(|module| Some((module, module.code.get()?)))
            && code.contains(&at)
        {
            out.text(" (").text(&module.name).text(" + ").address(at - code.start).text(")");
        }
        out.end();
    }
    // SAFETY: passed on.
    unsafe { tell_calls(&mut out, notes) };
    if signal == libc::SIGSEGV && at == Some(0) {
        // SAFETY: passed on.
        unsafe { tell_missing(&mut out, &note, context) };
    }
    out.line()
        .text("A module runs inside of this process: what it breaks, nothing else can mend. ");
    out.text("The process ends.").end();
    out.line().text("=== MORTISE BUG REPORT END ===").end();
}

/// The module of a call, if it has a name by now.
///
/// # Safety
/// As for [`write`].
unsafe fn module_of<'a>(note: &Note) -> Option<&'a Module> {
    // SAFETY: the module of a call is alive during the call.
    if let Some(module) = unsafe { note.module.as_ref() } {
        return Some(module);
    }
    // SAFETY: so is its context.
    let ctx: &'a ModuleCtx = unsafe { note.ctx.as_ref() }?;
    ctx.module.as_deref().map(|module| &**module)
}

/// # Safety
/// As for [`write`].
unsafe fn tell_calls(out: &mut Out, notes: &[Cell<Note>]) {
    for (depth, note) in notes.iter().rev().map(Cell::get).enumerate() {
        out.line().text(if depth == 0 { "inside module " } else { "called from module " });
        // SAFETY: passed on.
        match unsafe { module_of(&note) } {
            Some(module) => {
                out.text("'").text(&module.name).text("' (version ");
                out.number(i64::from(module.version)).text(")")
            }
            None => out.text("that is being loaded"),
        };
        // SAFETY: the context of a call is alive during the call.
        let command = unsafe { note.ctx.as_ref() }.map_or("", |ctx| &*ctx.command);
        match (note.kind, command) {
            ("", "") => out.text(", in a callback"),
            ("", command) => out.text(", in command '").text(command).text("'"),
            (kind, "") => out.text(", in ").text(kind),
            (kind, command) => out.text(", in ").text(kind).text(" of '").text(command).text("'"),
        };
        out.end();
    }
}

/// # Safety
/// As for [`write`].
unsafe fn tell_missing(out: &mut Out, note: &Note, context: *mut c_void) {
    // SAFETY: passed on.
    let Some(module) = (unsafe { module_of(note) }) else {
        with_missing(|missing| tell_which(out, "the module", missing, context));
        return;
    };
    match module.missing.get() {
        Some(missing) => tell_which(out, &module.name, missing, context),
        // It is still loading.
        None => with_missing(|missing| tell_which(out, &module.name, missing, context)),
    }
}

fn tell_which(out: &mut Out, module: &str, missing: &[Missing], context: *mut c_void) {
    if missing.is_empty() {
        out.line().text(module).text(" called a function pointer that is null").end();
        return;
    }
    out.line().text(module).text(" called a function that this server does not have");
    match caller::called(context, missing) {
        Some(called) => {
            out.text(": ").text(&called.name).end();
            return;
        }
        None => out.text("; it asked in vain for:"),
    };
    for one in missing.iter().take(NAMES_MAX) {
        out.text(" ").text(&one.name);
    }
    if missing.len() > NAMES_MAX {
        out.text(" and more");
    }
    out.end();
}
