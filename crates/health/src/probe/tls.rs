//! TLS to the server of a probe. The certificate is always verified, against the configured authority.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::files::{Files, Shown};
use crate::answer::{ProbeError, Text};
use config::probe::Tls;

/// Switches to TLS.
pub(super) async fn connect<W>(wire: W, tls: &Tls, files: &Files) -> Result<TlsStream<W>, ProbeError>
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let (connector, name) = (connector(tls, files)?, name(tls)?);
    let stream = connector.connect(name, wire).await?;
    remember(&stream, &files.shown);
    Ok(stream)
}

/// Keeps the certificate of the server.
pub(super) fn remember<W>(stream: &TlsStream<W>, shown: &Shown) {
    if let Some([certificate, ..]) = stream.get_ref().1.peer_certificates() {
        // The connections of one probe lead to one server.
        let _ = shown.set(certificate.to_vec());
    }
}

/// The certificates in a file of an authority, DER, as far as they can be read.
pub(super) fn certificates(authority: &[u8]) -> Vec<Vec<u8>> {
    let certificates = CertificateDer::pem_slice_iter(authority).filter_map(Result::ok);
    certificates.map(|certificate| certificate.to_vec()).collect()
}

/// The TLS settings of a connection.
pub(super) fn connector(tls: &Tls, files: &Files) -> Result<TlsConnector, ProbeError> {
    let unusable = |what: &dyn std::fmt::Display| {
        ProbeError::Local(Text::new(format_args!("{}: {what}", tls.authority.display())))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(files.authority.as_deref().unwrap_or_default()) {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"no certificate in it"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The name that the certificate must have.
pub(super) fn name(tls: &Tls) -> Result<ServerName<'static>, ProbeError> {
    ServerName::try_from(tls.name.clone())
        .map_err(|error| ProbeError::Local(Text::new(format_args!("{}: {error}", tls.name))))
}
