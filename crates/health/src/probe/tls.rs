//! TLS to the server of a probe. The certificate is always verified, against the configured authority.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::files::Files;
use crate::answer::{ProbeError, Text};
use config::probe::Tls;

/// Switches to TLS.
pub(super) async fn connect<W>(wire: W, tls: &Tls, files: &Files) -> Result<TlsStream<W>, ProbeError>
where
    W: AsyncRead + AsyncWrite + Unpin,
{
    let (connector, name) = (connector(tls, files)?, name(tls)?);
    Ok(connector.connect(name, wire).await?)
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
