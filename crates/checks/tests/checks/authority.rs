//! A certificate authority for the tests.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use time::{Duration, OffsetDateTime};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate.
    pub pem: String,
}

/// A server's certificate, the intermediates sent with it, and its key.
pub struct Identity {
    pub chain: String,
    pub key: String,
}

fn params(name: &str, names: &[&str], from_days: i64, to_days: i64) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() + Duration::days(from_days);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(to_days);
    params
}

fn ca_params(name: &str, to_days: i64) -> CertificateParams {
    let mut params = params(name, &[], -10, to_days);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let (params, key) = (ca_params(name, 3_650), KeyPair::generate().unwrap());
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// An authority under this one, valid for so many days from now.
    pub fn under(&self, name: &str, to_days: i64) -> Authority {
        let (params, key) = (ca_params(name, to_days), KeyPair::generate().unwrap());
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `names`, valid from and to so many days from now.
    pub fn sign(&self, names: &[&str], from_days: i64, to_days: i64) -> Identity {
        let key = KeyPair::generate().unwrap();
        let signed = params("server", names, from_days, to_days).signed_by(&key, &self.issuer).unwrap();
        Identity { chain: signed.pem(), key: key.serialize_pem() }
    }
}

impl Identity {
    /// A self-signed certificate.
    pub fn of_nobody(names: &[&str]) -> Identity {
        let key = KeyPair::generate().unwrap();
        let signed = params("server", names, -1, 90).self_signed(&key).unwrap();
        Identity { chain: signed.pem(), key: key.serialize_pem() }
    }

    /// With an intermediate certificate that the server sends too.
    pub fn with(mut self, other: &Authority) -> Identity {
        self.chain.push_str(&other.pem);
        self
    }

    /// Writes it to files and returns the nginx directives for them.
    pub fn for_nginx(&self, dir: &Path, name: &str) -> String {
        let path = |end: &str| -> PathBuf { dir.join(format!("{name}.{end}")) };
        std::fs::write(path("crt"), &self.chain).unwrap();
        std::fs::write(path("key"), &self.key).unwrap();
        format!("ssl_certificate {}; ssl_certificate_key {};", path("crt").display(), path("key").display())
    }
}
