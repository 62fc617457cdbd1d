//! How does a replica stand with its primary? What INFO and ROLE show of the link; the thread that keeps it writes it here.

/// A replica's link to its primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The primary's host, as it was given.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How far the link is.
    pub state: LinkState,
    /// The number of this link: whoever works for an earlier one has to stop.
    pub generation: u64,
    /// When something came from the primary last, unix milliseconds; None if there is no connection.
    pub heard_ms: Option<i64>,
    /// Since when the link is down, unix milliseconds; None if it never was up.
    pub down_since_ms: Option<i64>,
    /// The snapshot that is being received.
    pub transfer: Option<Transfer>,
    /// The offset up to which bytes have come from the primary, applied or not.
    pub read_offset: u64,
    /// The primary is asked to hand over its role.
    pub takes_over: bool,
}

/// How far the link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is to be made.
    Connect,
    /// The connection is being made.
    Connecting,
    /// The two introduce themselves.
    Handshake,
    /// The snapshot is being received or loaded.
    Sync,
    /// The stream is followed.
    Connected,
}

/// How much of the snapshot has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Its size, if that is known.
    pub total_bytes: Option<u64>,
    /// What has come.
    pub read_bytes: u64,
    /// When something came last, unix milliseconds.
    pub heard_ms: i64,
}

impl Link {
    /// A link that is to be made.
    pub fn new(host: String, port: u16, generation: u64) -> Self {
        Self {
            host,
            port,
            state: LinkState::Connect,
            generation,
            heard_ms: None,
            down_since_ms: None,
            transfer: None,
            read_offset: 0,
            takes_over: false,
        }
    }

    /// Whether the stream is followed.
    pub fn is_up(&self) -> bool {
        self.state == LinkState::Connected
    }
}

impl LinkState {
    /// Its name in ROLE.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Connect => "connect",
            LinkState::Connecting => "connecting",
            LinkState::Handshake => "handshake",
            LinkState::Sync => "sync",
            LinkState::Connected => "connected",
        }
    }
}
