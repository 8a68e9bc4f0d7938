//! The certificate authorities that certificates are checked against: a file of the stack, or those of the system.

use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::finding::brief;
use system::files::read_bounded;

/// Most bytes of a CA file that are read.
const FILE_MAX: usize = 4 << 20;

/// The certificates in the PEM file `ca`, relative to `dir`. The error is a text for display.
pub(super) fn of_file(dir: &Path, ca: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = dir.join(ca);
    let bytes = read_bounded(&path, FILE_MAX).map_err(|error| match error.kind() {
        io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput | io::ErrorKind::IsADirectory => {
            format!("{ca} is not a certificate file")
        }
        kind => format!("{ca} cannot be read ({kind})"),
    })?;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match read {
        Ok(certificates) if certificates.is_empty() => Err(format!("{ca} contains no PEM certificate")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{ca} is damaged: {}", brief(&error.to_string(), 80))),
    }
}

/// The certificates of `ca`, else those that this host trusts. Fails with a text for display when there
/// are none.
pub(super) fn store(dir: &Path, ca: Option<&str>) -> Result<RootCertStore, String> {
    let (certificates, whose) = match ca {
        Some(ca) => (of_file(dir, ca)?, ca.to_owned()),
        None => (rustls_native_certs::load_native_certs().certs, "this host".to_owned()),
    };
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(certificates);
    if store.is_empty() {
        return Err(format!("{whose} has no usable CA certificate"));
    }
    Ok(store)
}
