//! Which settings concern listening, clients, logging and the process?
//!
//! Plain data; `params.rs` says what the words mean.

use crate::config::check;
use crate::config::choices::{
    LOG_FORMAT, LOG_LEVEL, OOM_SCORE_ADJ, PROTECTED_ACTION, PUBSUB_DEFAULT, SHUTDOWN, SUPERVISED,
    SYSLOG_FACILITY, TLS_CLIENTS,
};
use crate::config::params::{DEFAULT_IS_CORES, INT, LONG, Param as P, Spec, Special, UINT};

/// The parameters, in the order that CONFIG GET shows them.
pub const SERVING: [Spec; 87] = [
    Spec::int(P::Port, "port", 0, 65535, 6379).doc("TCP port to listen on; 0 for none."),
    Spec::special(P::Bind, "bind", Special::Bind)
        .multi()
        .doc("Addresses to listen on; one with a leading `-` may be missing."),
    Spec::optional(P::BindSourceAddr, "bind-source-addr")
        .doc("Local address of outgoing connections."),
    Spec::optional(P::Unixsocket, "unixsocket")
        .immutable()
        .doc("Path of the unix socket to listen on."),
    Spec::int(P::Unixsocketperm, "unixsocketperm", 0, 0o777, 0)
        .unsigned()
        .octal()
        .immutable()
        .doc("Permissions of the unix socket, in octal; 0 leaves them to the umask."),
    Spec::int(P::TcpBacklog, "tcp-backlog", 0, INT, 511)
        .immutable()
        .doc("Connections that may wait to be accepted."),
    Spec::int(P::TcpKeepalive, "tcp-keepalive", 0, INT, 300)
        .doc("Seconds between probes of idle connections; 0 for none."),
    Spec::int(P::Timeout, "timeout", 0, INT, 0)
        .doc("Seconds after which an idle client is disconnected; 0 for never."),
    Spec::int(P::SocketMarkId, "socket-mark-id", 0, UINT, 0)
        .unsigned()
        .immutable()
        .doc("Mark of listening sockets, where the system knows such marks."),
    Spec::flag(P::ProtectedMode, "protected-mode", true)
        .doc("Refuses other hosts while there is neither a password nor a bind address."),
    Spec::int(P::Maxclients, "maxclients", 1, UINT, 10000)
        .unsigned()
        .doc("Most clients at a time."),
    Spec::memory(P::MaxmemoryClients, "maxmemory-clients", -100, LONG, 0)
        .percent()
        .doc("Memory that all clients may take together, in bytes or percent of maxmemory."),
    Spec::memory(P::ClientQueryBufferLimit, "client-query-buffer-limit", 1 << 20, LONG, 1 << 30)
        .unsigned()
        .debug()
        .doc("Most bytes of a client's unfinished requests."),
    Spec::special(P::ClientOutputBufferLimit, "client-output-buffer-limit", Special::OutputLimits)
        .multi()
        .doc("Per class of clients: hard limit, soft limit and seconds of unread replies."),
    Spec::int(P::ClientDefaultResp, "client-default-resp", 2, 3, 2)
        .unsigned()
        .immutable()
        .hidden()
        .doc("Protocol that new connections speak."),
    Spec::memory(P::ProtoMaxBulkLen, "proto-max-bulk-len", 1 << 20, LONG, 512 << 20)
        .debug()
        .doc("Longest string in a request."),
    Spec::int(P::IoThreads, "io-threads", 1, 128, DEFAULT_IS_CORES)
        .immutable()
        .debug()
        .doc("Worker threads; each serves its connections. By default the cores, eight at most."),
    Spec::flag(P::IoThreadsDoReads, "io-threads-do-reads", false)
        .immutable()
        .debug()
        .doc("Accepted for compatibility: workers always read."),
    Spec::int(P::TrackingTableMaxKeys, "tracking-table-max-keys", 0, LONG, 1000000)
        .unsigned()
        .doc("Keys that client-side caching remembers."),
    Spec::optional(P::Requirepass, "requirepass").sensitive().doc("Password of the default user."),
    Spec::text(P::Aclfile, "aclfile", "").immutable().doc("File that the users are kept in."),
    Spec::choice(P::AclPubsubDefault, "acl-pubsub-default", &PUBSUB_DEFAULT, "resetchannels")
        .doc("Channels that new users may use."),
    Spec::int(P::AcllogMaxLen, "acllog-max-len", 0, LONG, 128).doc("Entries of ACL LOG."),
    Spec::choice(P::EnableProtectedConfigs, "enable-protected-configs", &PROTECTED_ACTION, "no")
        .immutable()
        .doc("Who may set protected parameters."),
    Spec::choice(P::EnableDebugCommand, "enable-debug-command", &PROTECTED_ACTION, "no")
        .immutable()
        .doc("Who may use DEBUG."),
    Spec::choice(P::EnableModuleCommand, "enable-module-command", &PROTECTED_ACTION, "no")
        .immutable()
        .doc("Who may use MODULE."),
    Spec::int(P::Databases, "databases", 1, INT, 16).immutable().doc("Number of dbs."),
    Spec::flag(P::Daemonize, "daemonize", false).immutable().doc("Runs in the background."),
    Spec::choice(P::Supervised, "supervised", &SUPERVISED, "no")
        .immutable()
        .doc("Supervision to tell of readiness."),
    Spec::optional(P::Pidfile, "pidfile").immutable().doc("File for the process id."),
    Spec::choice(P::Loglevel, "loglevel", &LOG_LEVEL, "notice")
        .doc("Least important messages to log."),
    Spec::text(P::Logfile, "logfile", "")
        .immutable()
        .doc("File of the log; empty for standard output."),
    Spec::choice(P::LogFormat, "log-format", &LOG_FORMAT, "human").doc("Form of log lines."),
    Spec::flag(P::SyslogEnabled, "syslog-enabled", false)
        .immutable()
        .doc("Logs to the system's log too."),
    Spec::text(P::SyslogIdent, "syslog-ident", "redis")
        .immutable()
        .doc("Name in the system's log."),
    Spec::choice(P::SyslogFacility, "syslog-facility", &SYSLOG_FACILITY, "local0")
        .immutable()
        .doc("Facility in the system's log."),
    Spec::flag(P::AlwaysShowLogo, "always-show-logo", false)
        .immutable()
        .doc("Shows the banner even if the log is no terminal."),
    Spec::flag(P::SetProcTitle, "set-proc-title", true)
        .immutable()
        .doc("Shows the server's state in the process title."),
    Spec::text(P::ProcTitleTemplate, "proc-title-template", "{title} {listen-addr} {server-mode}")
        .check_text(check::title_template)
        .doc("Process title, with variables in braces."),
    Spec::text(P::LocaleCollate, "locale-collate", "").doc("Locale of string comparison."),
    Spec::flag(P::CrashLogEnabled, "crash-log-enabled", true).doc("Reports crashes in the log."),
    Spec::flag(P::CrashMemcheckEnabled, "crash-memcheck-enabled", true)
        .doc("Accepted for compatibility: memory is not checked after a crash."),
    Spec::flag(P::UseExitOnPanic, "use-exit-on-panic", false)
        .hidden()
        .doc("Exits where it would abort."),
    Spec::text(P::IgnoreWarnings, "ignore-warnings", "")
        .doc("Start-up warnings that are not to stop the server."),
    Spec::flag(P::DisableThp, "disable-thp", true)
        .immutable()
        .doc("Turns transparent huge pages off for the process."),
    Spec::choice(P::OomScoreAdj, "oom-score-adj", &OOM_SCORE_ADJ, "no")
        .doc("Adjusts the score by which the system kills processes."),
    Spec::special(P::OomScoreAdjValues, "oom-score-adj-values", Special::OomValues)
        .multi()
        .doc("Scores as primary, as replica and of background children."),
    Spec::optional(P::ServerCpulist, "server_cpulist")
        .immutable()
        .doc("Cores of the server's threads."),
    Spec::optional(P::BioCpulist, "bio_cpulist").immutable().doc("Cores of background threads."),
    Spec::optional(P::AofRewriteCpulist, "aof_rewrite_cpulist")
        .immutable()
        .doc("Cores of AOF rewrites."),
    Spec::optional(P::BgsaveCpulist, "bgsave_cpulist").immutable().doc("Cores of snapshots."),
    Spec::int(P::ShutdownTimeout, "shutdown-timeout", 0, INT, 10)
        .doc("Seconds that a shutdown waits for replicas."),
    Spec::choice(P::ShutdownOnSigint, "shutdown-on-sigint", &SHUTDOWN, "default")
        .check_choice(check::shutdown)
        .multi()
        .doc("What SIGINT does."),
    Spec::choice(P::ShutdownOnSigterm, "shutdown-on-sigterm", &SHUTDOWN, "default")
        .check_choice(check::shutdown)
        .multi()
        .doc("What SIGTERM does."),
    Spec::int(P::Hz, "hz", 0, INT, 10).doc("Background rounds a second."),
    Spec::flag(P::DynamicHz, "dynamic-hz", true)
        .doc("Raises the rounds a second when there are many clients."),
    Spec::int(P::WatchdogPeriod, "watchdog-period", 0, INT, 0)
        .hidden()
        .doc("Milliseconds after which the watchdog reports a stuck server; 0 for none."),
    Spec::int(P::SlowlogLogSlowerThan, "slowlog-log-slower-than", -1, LONG, 10000)
        .doc("Microseconds from which a command is slow; negative for never."),
    Spec::int(P::SlowlogMaxLen, "slowlog-max-len", 0, LONG, 128).doc("Entries of the slow log."),
    Spec::int(P::LatencyMonitorThreshold, "latency-monitor-threshold", 0, LONG, 0)
        .doc("Milliseconds from which an event is recorded by LATENCY; 0 for never."),
    Spec::flag(P::LatencyTracking, "latency-tracking", true)
        .doc("Keeps a latency histogram of each command."),
    Spec::special(
        P::LatencyTrackingInfoPercentiles,
        "latency-tracking-info-percentiles",
        Special::Percentiles,
    )
    .multi()
    .doc("Percentiles of latency that INFO shows."),
    Spec::int(P::BusyReplyThreshold, "busy-reply-threshold", 0, LONG, 5000)
        .alias("lua-time-limit")
        .doc("Milliseconds after which others get BUSY while a script runs."),
    Spec::flag(P::LuaEnableDeprecatedApi, "lua-enable-deprecated-api", false)
        .immutable()
        .hidden()
        .doc("Gives scripts `getfenv`, `setfenv` and `newproxy`."),
    Spec::flag(P::DefaultModules, "default-modules", true)
        .immutable()
        .hidden()
        .doc("Loads the modules that are shipped with the server."),
    Spec::optional(P::Functions, "functions")
        .immutable()
        .hidden()
        .doc("Folder whose *.lua are loaded as libraries of functions at the start."),
    Spec::text(P::ModuleThreads, "module-threads", "any")
        .immutable()
        .hidden()
        .check_text(check::module_threads)
        .doc("`any`, or `main` and the modules whose commands keep to the main thread."),
    Spec::int(P::TlsPort, "tls-port", 0, 65535, 0).doc("TCP port for TLS; 0 for none."),
    Spec::int(P::TlsSessionCacheSize, "tls-session-cache-size", 0, INT, 20 << 10)
        .doc("TLS sessions to remember."),
    Spec::int(P::TlsSessionCacheTimeout, "tls-session-cache-timeout", 0, INT, 300)
        .doc("Seconds that TLS sessions are remembered."),
    Spec::flag(P::TlsCluster, "tls-cluster", false).doc("Speaks TLS on the cluster bus."),
    Spec::flag(P::TlsReplication, "tls-replication", false).doc("Speaks TLS to the primary."),
    Spec::choice(P::TlsAuthClients, "tls-auth-clients", &TLS_CLIENTS, "yes")
        .doc("Whether TLS clients must show a certificate."),
    Spec::flag(P::TlsPreferServerCiphers, "tls-prefer-server-ciphers", false)
        .doc("Prefers the server's order of ciphers."),
    Spec::flag(P::TlsSessionCaching, "tls-session-caching", true).doc("Remembers TLS sessions."),
    Spec::optional(P::TlsCertFile, "tls-cert-file").volatile().doc("Certificate of the server."),
    Spec::optional(P::TlsKeyFile, "tls-key-file").volatile().doc("Private key of the certificate."),
    Spec::optional(P::TlsKeyFilePass, "tls-key-file-pass").doc("Password of the private key."),
    Spec::optional(P::TlsClientCertFile, "tls-client-cert-file")
        .volatile()
        .doc("Certificate for outgoing connections."),
    Spec::optional(P::TlsClientKeyFile, "tls-client-key-file")
        .volatile()
        .doc("Private key of that certificate."),
    Spec::optional(P::TlsClientKeyFilePass, "tls-client-key-file-pass")
        .doc("Password of that key."),
    Spec::optional(P::TlsDhParamsFile, "tls-dh-params-file")
        .volatile()
        .doc("Diffie-Hellman parameters."),
    Spec::optional(P::TlsCaCertFile, "tls-ca-cert-file")
        .volatile()
        .doc("Certificates of authorities to trust."),
    Spec::optional(P::TlsCaCertDir, "tls-ca-cert-dir")
        .volatile()
        .doc("Folder of certificates of authorities to trust."),
    Spec::optional(P::TlsProtocols, "tls-protocols").doc("Versions of TLS to speak."),
    Spec::optional(P::TlsCiphers, "tls-ciphers").doc("Ciphers up to TLS 1.2."),
    Spec::optional(P::TlsCiphersuites, "tls-ciphersuites").doc("Cipher suites of TLS 1.3."),
];
