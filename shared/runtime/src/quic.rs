//! QUIC: endpoints, and how a conversation is carried by a connection.
//!
//! What is decided here is only how bytes travel: which windows, how often a keep-alive, which
//! stream goes first. Who may speak is `tls`, what is said is the node's.

mod consult;
mod dial;
mod listen;
mod narrow;
mod refusal;
mod strikes;
mod talk;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use node::{names::Reason, protocol::DeviceKey};
use quinn::{
    ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig, IdleTimeout,
    TokioRuntime, TransportConfig, VarInt,
    congestion::CubicConfig,
    crypto::{
        CryptoError, HmacKey,
        rustls::{HandshakeData, QuicClientConfig, QuicServerConfig},
    },
};
use rustls::crypto::tls13::OkmBlock;
use rustls_pki_types::{CertificateDer, UnixTime};

pub(crate) use consult::{Consult, keep_renewed};
pub(crate) use dial::{Dialler, keep_dialling};
pub(crate) use listen::{Gate, listen};
pub use narrow::tell_purged;

use crate::{
    certificate::sha256_suite,
    limits::{IDLE_MAX, INITIAL_WINDOW, KEEP_ALIVE, LINK_WINDOW, SEND_WINDOW, STREAM_WINDOW},
    shell,
    tls::{self, Admitted, TlsError},
};

/// Bytes of our connection ids: enough that none is guessed, few enough that a packet has room.
const CONNECTION_ID_BYTES: usize = 8;

/// How both sides carry a conversation. `dialled` says whether this side keeps it alive.
fn transport(dialled: bool) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    let mut congestion = CubicConfig::default();
    congestion.initial_window(INITIAL_WINDOW);
    transport
        .congestion_controller_factory(Arc::new(congestion))
        .max_concurrent_uni_streams(VarInt::from_u32(3))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(LINK_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(IdleTimeout::try_from(IDLE_MAX).ok())
        // One side is enough, and it is the one behind the address translator.
        .keep_alive_interval(dialled.then_some(KEEP_ALIVE));
    Arc::new(transport)
}

/// What a dialling side needs to know.
///
/// # Errors
/// [`TlsError::Setup`], when the library lacks a cipher that it always has.
pub(crate) fn client_config(tls: rustls::ClientConfig) -> Result<quinn::ClientConfig, TlsError> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|_| TlsError::Setup)?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport(true));
    Ok(config)
}

fn server_config(tls: rustls::ServerConfig) -> Result<quinn::ServerConfig, TlsError> {
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| TlsError::Setup)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport(false));
    Ok(config)
}

/// Why no endpoint could be opened.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BindError {
    /// The certificates are not usable.
    Tls(TlsError),
    /// The address cannot be listened on.
    Address(SocketAddr, std::io::ErrorKind),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::Tls(error) => error.fmt(f),
            BindError::Address(address, kind) => write!(
                f,
                "cannot use UDP address {address} ({kind}): see what else uses it, or choose \
                 another"
            ),
        }
    }
}

impl std::error::Error for BindError {}

impl From<TlsError> for BindError {
    fn from(error: TlsError) -> BindError {
        BindError::Tls(error)
    }
}

/// An endpoint that answers.
///
/// # Errors
/// [`BindError`] says what is in the way.
pub(crate) fn bind(
    address: SocketAddr,
    key: &DeviceKey,
    tls: rustls::ServerConfig,
) -> Result<Endpoint, BindError> {
    let config = server_config(tls)?;
    let refused = |error: std::io::Error| BindError::Address(address, error.kind());
    let socket = std::net::UdpSocket::bind(address).map_err(refused)?;
    let endpoint = Endpoint::new(
        endpoint_config(key),
        Some(config),
        socket,
        Arc::new(TokioRuntime),
    );
    endpoint.map_err(refused)
}

/// An endpoint that only dials, for addresses of the same family as `towards`.
pub(crate) fn bind_client(towards: SocketAddr) -> Result<Endpoint, BindError> {
    let any = match towards {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    Endpoint::client(any).map_err(|error| BindError::Address(any, error.kind()))
}

/// Connection ids and resets that survive a restart: after one, a peer's next packet is answered
/// by a reset that it can believe, and it dials again at once instead of waiting in silence.
fn endpoint_config(key: &DeviceKey) -> EndpointConfig {
    let seed = OkmBlock::new(key.seed().as_slice());
    let own = hmac(&seed, b"ridgeway stateless reset v1");
    let mut config = EndpointConfig::new(Arc::new(ResetKey(OkmBlock::new(&own))));
    config.cid_generator(|| Box::new(RandomIds));
    config
}

fn hmac(key: &OkmBlock, message: &[u8]) -> Vec<u8> {
    sha256_suite()
        .hkdf_provider
        .hmac_sign(key, message)
        .as_ref()
        .to_vec()
}

struct ResetKey(OkmBlock);

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        for (slot, byte) in signature_out.iter_mut().zip(hmac(&self.0, data)) {
            *slot = byte;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = hmac(&self.0, data);
        // Every byte is looked at, so that the time taken tells nothing.
        let differing = expected
            .iter()
            .zip(signature)
            .fold(0, |sum, (one, two)| sum | (one ^ two));
        if differing == 0 && signature.len() == expected.len() {
            Ok(())
        } else {
            Err(CryptoError)
        }
    }
}

/// The library's own connection ids carry a mark of the process, by which a restarted one would
/// drop what it should reset.
struct RandomIds;

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&shell::entropy::<CONNECTION_ID_BYTES>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// What the handshake of a connection has settled. A side that answers says by which authority.
///
/// # Errors
/// When the peer may do nothing.
pub(crate) fn admitted(
    connection: &quinn::Connection,
    answers: Option<&[u8]>,
) -> Result<Admitted, TlsError> {
    let data = connection
        .handshake_data()
        .and_then(|data| data.downcast::<HandshakeData>().ok());
    let alpn = data.and_then(|data| data.protocol);
    let shown = connection.peer_identity();
    let shown = shown.and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
    let answers = answers.map(|ca| (ca, UnixTime::now()));
    tls::admit(
        alpn.as_deref(),
        shown.as_deref().map(Vec::as_slice),
        answers,
    )
}

/// Ends a connection and says why, by the reason's code.
pub(crate) fn close(connection: &quinn::Connection, reason: Reason) {
    connection.close(
        VarInt::from_u32(u32::from(reason.code())),
        reason.name().as_bytes(),
    );
}

/// Why a connection ended, in words for a log that quote nothing it sent.
pub(crate) fn why(error: &ConnectionError) -> &'static str {
    match error {
        ConnectionError::VersionMismatch => "no QUIC version in common",
        ConnectionError::TransportError(error) => {
            refusal::by_us(error.code.into(), error.reason.as_bytes())
        }
        ConnectionError::ConnectionClosed(close) => {
            refusal::by_them(close.error_code.into(), &close.reason)
        }
        ConnectionError::ApplicationClosed(close) => {
            let code = u16::try_from(close.error_code.into_inner()).unwrap_or(0);
            let reason = Reason::from_code(code);
            if reason == Reason::Stopping {
                refusal::STOPPED
            } else {
                reason.name()
            }
        }
        ConnectionError::Reset => "the peer has restarted",
        ConnectionError::TimedOut => "silence",
        ConnectionError::LocallyClosed => "closed here",
        ConnectionError::CidsExhausted => "no connection ids left",
    }
}

#[cfg(test)]
mod tests;
