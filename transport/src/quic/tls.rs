//! TLS 1.3 with raw public keys (RFC 7250), both ways: who is at the other end, proved.
//!
//! Knows: rustls. Does not know: who may connect. The verifiers here accept every well-formed Ed25519 key whose owner has signed
//! the handshake; the member set is asked right after, before a byte is read or written, so that the refusal can be a sentence.
//!
//! 1. TLS 1.3, Ed25519 and [`ALPN`] only.
//! 2. No resumption and no early data: every connection proves its keys anew.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};

use crate::identity::{Identity, PublicKey};

/// What both sides must name in the handshake.
pub(crate) const ALPN: &[u8] = b"pando/1";

/// An Ed25519 `SubjectPublicKeyInfo` is this and the key (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The configuration for connections that are accepted.
pub(crate) fn server(identity: &Identity) -> Result<rustls::ServerConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let key = certified(identity, &provider)?;
    let resolver = rustls::server::AlwaysResolvesServerRawPublicKeys::new(key);
    let mut config = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(Verifier { provider }))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// The configuration for connections that are dialled.
pub(crate) fn client(identity: &Identity) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let key = certified(identity, &provider)?;
    let resolver = rustls::client::AlwaysResolvesClientRawPublicKeys::new(key);
    let mut config = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { provider }))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    Ok(config)
}

/// The key that the other end of an established connection has proved.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Option<PublicKey> {
    let identity = connection.peer_identity()?;
    let chain = identity.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    match chain.as_slice() {
        [one] => raw_key(one),
        _ => None,
    }
}

fn certified(identity: &Identity, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let der = identity.pkcs8().ok_or_else(|| Error::General("the key cannot be encoded".to_owned()))?;
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der));
    let key = provider.key_provider.load_private_key(der)?;
    let spki = [&SPKI_PREFIX[..], &identity.public().0].concat();
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki)], key)))
}

fn raw_key(spki: &CertificateDer<'_>) -> Option<PublicKey> {
    let key = spki.as_ref().strip_prefix(&SPKI_PREFIX[..])?;
    Some(PublicKey(key.try_into().ok()?))
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// The key has the one form that is spoken here, and stands alone.
    fn well_formed(end: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        match raw_key(end) {
            Some(_) if more.is_empty() => Ok(()),
            _ => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn signed(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let spki = SubjectPublicKeyInfoDer::from(key.as_ref());
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &spki, signature, algorithms)
    }
}

fn no_tls12() -> Error {
    PeerIncompatible::Tls12NotOffered.into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Verifier::well_formed(end, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Verifier::well_formed(end, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, key, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ed25519_key_alone_is_well_formed() {
        let good = [&SPKI_PREFIX[..], &[7; 32]].concat();
        assert_eq!(raw_key(&CertificateDer::from(good.clone())), Some(PublicKey([7; 32])));
        let check = |bytes: &[u8]| assert_eq!(raw_key(&CertificateDer::from(bytes.to_vec())), None);
        check(&good[..43]);
        check(&[&good[..], &[0]].concat());
        check(b"");
        let mut other_curve = good.clone();
        other_curve[8] = 0x6e;
        check(&other_curve);
        let one = CertificateDer::from(good);
        assert!(Verifier::well_formed(&one, &[]).is_ok());
        assert!(Verifier::well_formed(&one, std::slice::from_ref(&one)).is_err());
    }
}
