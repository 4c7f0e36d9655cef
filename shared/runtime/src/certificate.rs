//! Certificates: the organisation's own authority, and what it issues.
//!
//! A certificate binds nothing but a device's public key: its key *is* the device's key, so the
//! key that a TLS peer proves to hold is the key that the protocol knows it by. The authority is
//! made once, and every device pins it by its fingerprint; no other authority counts for
//! anything. The centre's certificate is for servers and bears the centre's name, a device's is
//! for clients: a stolen device cannot pass for the centre.

use std::{fmt, sync::Arc, time::Duration};

use node::{
    names::Moment,
    protocol::{DeviceKey, PublicKey, enrol::Fingerprint, signed::device_id},
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use rustls::{SignatureScheme, crypto::ring, server::ParsedCertificate, sign::SigningKey};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::{
    limits::{CA_DAYS, CENTRE_CERTIFICATE_DAYS, CERTIFICATE_DAYS, CERTIFICATE_SLACK_DAYS},
    shell,
};

/// The name in the centre's certificate. It is the same wherever the centre stands: what counts
/// is the pinned authority, not where an address leads.
pub(crate) const CENTRE_NAME: &str = "centre.ridgeway.internal";

/// What an Ed25519 seed is wrapped in as PKCS #8 version 1 (RFC 8410, section 7).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// What an Ed25519 public key is wrapped in as SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Why a certificate could not be made or read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CertificateError {
    /// The key was not taken by the cryptographic provider.
    Key,
    /// The certificate could not be written.
    NotMade,
    /// The moment is outside what a certificate can say.
    Clock,
    /// These bytes are not a certificate for an Ed25519 key.
    NotOurs,
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CertificateError::Key => "the key cannot be used to sign: restore it from a backup",
            CertificateError::NotMade => "the certificate could not be made",
            CertificateError::Clock => "the clock is far off: set it, then try again",
            CertificateError::NotOurs => {
                "this is not a certificate of Ridgeway's: enrol the device again"
            }
        })
    }
}

impl std::error::Error for CertificateError {}

/// What a certificate is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To dial as a device.
    Device,
    /// To answer as the centre.
    Centre,
}

/// The organisation's certificate authority, able to issue. Lives at the centre alone.
pub struct CertificateAuthority {
    key: CaKey,
    certificate: Vec<u8>,
}

impl CertificateAuthority {
    /// Makes an authority with a key that was drawn for it and is used for nothing else.
    ///
    /// # Errors
    /// [`CertificateError`], of which only `Clock` can be put right.
    pub fn create(key: &DeviceKey, now: Moment) -> Result<CertificateAuthority, CertificateError> {
        let key = CaKey::new(key)?;
        let mut params = valid(now, CA_DAYS)?;
        ca_traits(&mut params);
        let certificate = params
            .self_signed(&key)
            .map_err(|_| CertificateError::NotMade)?;
        let certificate = certificate.der().to_vec();
        Ok(CertificateAuthority { key, certificate })
    }

    /// The authority as it was kept: its key, and the certificate that [`Self::create`] made.
    ///
    /// # Errors
    /// [`CertificateError::NotOurs`] when the two do not belong together.
    pub fn open(
        key: &DeviceKey,
        certificate: Vec<u8>,
    ) -> Result<CertificateAuthority, CertificateError> {
        if public_key(&certificate) != Some(key.public()) {
            return Err(CertificateError::NotOurs);
        }
        let key = CaKey::new(key)?;
        Ok(CertificateAuthority { key, certificate })
    }

    /// Its own certificate: DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What enrolment codes name it by.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    /// A device's certificate: DER.
    ///
    /// # Errors
    /// [`CertificateError`], of which only `Clock` can be put right.
    pub fn issue_device(&self, key: &PublicKey, now: Moment) -> Result<Vec<u8>, CertificateError> {
        self.issue(key, now, CERTIFICATE_DAYS, Purpose::Device)
    }

    /// The centre's certificate: DER.
    ///
    /// # Errors
    /// [`CertificateError`], of which only `Clock` can be put right.
    pub fn issue_centre(&self, key: &PublicKey, now: Moment) -> Result<Vec<u8>, CertificateError> {
        self.issue(key, now, CENTRE_CERTIFICATE_DAYS, Purpose::Centre)
    }

    pub(crate) fn issue(
        &self,
        key: &PublicKey,
        now: Moment,
        days: u64,
        purpose: Purpose,
    ) -> Result<Vec<u8>, CertificateError> {
        let mut params = valid(now, days)?;
        let device = device_id(key);
        let (name, usage) = match purpose {
            Purpose::Centre => (CENTRE_NAME.to_owned(), ExtendedKeyUsagePurpose::ServerAuth),
            Purpose::Device => (
                format!("{device}.device.ridgeway.internal"),
                ExtendedKeyUsagePurpose::ClientAuth,
            ),
        };
        let name = name.try_into().map_err(|_| CertificateError::NotMade)?;
        params.subject_alt_names = vec![rcgen::SanType::DnsName(name)];
        params.distinguished_name = called(&device.to_string());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let mut issuer = CertificateParams::default();
        ca_traits(&mut issuer);
        let issuer = Issuer::new(issuer, &self.key);
        let certificate = params.signed_by(&Subject(key), &issuer);
        certificate
            .map(|made| made.der().to_vec())
            .map_err(|_| CertificateError::NotMade)
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateAuthority({})", self.fingerprint())
    }
}

/// SHA-256 of a certificate.
pub fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let hash = sha256().hash(certificate);
    let mut bytes = [0; 32];
    for (slot, byte) in bytes.iter_mut().zip(hash.as_ref()) {
        *slot = *byte;
    }
    Fingerprint(bytes)
}

/// The key that a certificate is about, if it is one of ours: an Ed25519 key.
pub(crate) fn public_key(certificate: &[u8]) -> Option<PublicKey> {
    let der = CertificateDer::from(certificate);
    let parsed = ParsedCertificate::try_from(&der).ok()?;
    let spki = parsed.subject_public_key_info();
    let key = spki.as_ref().strip_prefix(&SPKI_PREFIX)?;
    key.try_into().ok().map(PublicKey)
}

/// A device's key in the form that TLS signs with.
pub(crate) fn tls_key(key: &DeviceKey) -> Result<Arc<dyn SigningKey>, CertificateError> {
    let seed = key.seed();
    let mut pkcs8 = Zeroizing::new(Vec::with_capacity(PKCS8_PREFIX.len() + seed.len()));
    pkcs8.extend_from_slice(&PKCS8_PREFIX);
    pkcs8.extend_from_slice(seed.as_slice());
    ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()))
        .map_err(|_| CertificateError::Key)
}

/// The TLS suite whose hash is SHA-256; every provider has it.
pub(crate) fn sha256_suite() -> &'static rustls::Tls13CipherSuite {
    match ring::cipher_suite::TLS13_AES_128_GCM_SHA256 {
        rustls::SupportedCipherSuite::Tls13(suite) => suite,
        rustls::SupportedCipherSuite::Tls12(_) => unreachable!("its name says TLS 1.3"),
    }
}

fn sha256() -> &'static dyn rustls::crypto::hash::Hash {
    sha256_suite().common.hash_provider
}

/// Parameters with a validity and a serial number.
fn valid(now: Moment, days: u64) -> Result<CertificateParams, CertificateError> {
    let now = u64::try_from(now.0).map_err(|_| CertificateError::Clock)?;
    let begin = now.saturating_sub(CERTIFICATE_SLACK_DAYS * DAY_MS);
    let end = now.saturating_add(days * DAY_MS);
    // A certificate's years have four digits; this bound lies in the year 9900.
    if end > 250_000_000_000_000 {
        return Err(CertificateError::Clock);
    }
    let epoch = date_time_ymd(1970, 1, 1);
    let mut serial: [u8; 16] = shell::entropy();
    // A serial number is positive and has no leading zero.
    serial[0] = serial[0] & 0x3f | 0x40;
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_millis(begin);
    params.not_after = epoch + Duration::from_millis(end);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn ca_traits(params: &mut CertificateParams) {
    params.distinguished_name = called("Ridgeway authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
}

fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name);
    called
}

/// The authority's key in the form that certificates are signed with.
struct CaKey {
    signer: Arc<dyn SigningKey>,
    public: PublicKey,
}

impl CaKey {
    fn new(key: &DeviceKey) -> Result<CaKey, CertificateError> {
        Ok(CaKey {
            signer: tls_key(key)?,
            public: key.public(),
        })
    }
}

impl PublicKeyData for CaKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

impl rcgen::SigningKey for CaKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signer = self.signer.choose_scheme(&[SignatureScheme::ED25519]);
        let signer = signer.ok_or(rcgen::Error::RingUnspecified)?;
        signer
            .sign(message)
            .map_err(|_| rcgen::Error::RingUnspecified)
    }
}

/// The key that a certificate is made for; its private half is elsewhere.
struct Subject<'a>(&'a PublicKey);

impl PublicKeyData for Subject<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ED25519
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_gives_back_the_key_it_is_about() {
        let ca = DeviceKey::from_seed(&[1; 32]);
        let device = DeviceKey::from_seed(&[2; 32]);
        let now = shell::now();
        let authority = CertificateAuthority::create(&ca, now).unwrap();
        let certificate = authority.issue_device(&device.public(), now).unwrap();
        assert_eq!(public_key(&certificate), Some(device.public()));
        assert_eq!(public_key(authority.certificate()), Some(ca.public()));
        assert_eq!(public_key(b"not a certificate"), None);
    }

    #[test]
    fn an_authority_opens_only_with_its_own_key() {
        let ca = DeviceKey::from_seed(&[1; 32]);
        let made = CertificateAuthority::create(&ca, shell::now()).unwrap();
        let print = made.fingerprint();
        let kept = made.certificate().to_vec();
        let opened = CertificateAuthority::open(&ca, kept.clone()).unwrap();
        assert_eq!(opened.fingerprint(), print);
        let other = DeviceKey::from_seed(&[2; 32]);
        let refused = CertificateAuthority::open(&other, kept).err();
        assert_eq!(refused, Some(CertificateError::NotOurs));
    }

    #[test]
    fn a_clock_outside_all_calendars_is_refused() {
        let ca = DeviceKey::from_seed(&[1; 32]);
        for moment in [Moment(-1), Moment(i64::MAX)] {
            let made = CertificateAuthority::create(&ca, moment).err();
            assert_eq!(made, Some(CertificateError::Clock));
        }
    }
}
