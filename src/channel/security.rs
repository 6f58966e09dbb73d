//! Which TLS settings a channel was given, checked.

use tokio::sync::watch;

use super::connect::{PeerName, Secure, TlsConfig};
use super::fault::Faults;
use super::reload::Reload;

/// What a builder was given, not checked yet.
#[derive(Debug, Default)]
pub(super) enum TlsSource {
    /// TLS only if the target says so, with the roots of the features.
    #[default]
    Target,
    Fixed(TlsConfig),
    Watched(watch::Receiver<TlsConfig>),
}

/// TLS for all dials.
pub(super) struct Security {
    pub(super) secure: Secure,
    /// What follows later settings.
    pub(super) reload: Option<Reload>,
}

impl TlsSource {
    /// Whether connections have TLS; the target has this scheme.
    pub(super) fn is_on(&self, scheme: &str) -> bool {
        scheme == "https" || !matches!(self, Self::Target)
    }

    fn setter(&self) -> &'static str {
        match self {
            Self::Target => "builder",
            Self::Fixed(_) => "tls_config",
            Self::Watched(_) => "tls_config_from",
        }
    }

    pub(super) fn check(
        self,
        scheme: &str,
        peer: PeerName,
        faults: &mut Faults,
    ) -> Option<Security> {
        let setter = self.setter();
        faults.check(setter, scheme != "http", || {
            "the target says `http`, so that TLS would not be used: write `https`".into()
        });
        let (config, configs) = match self {
            Self::Target => (TlsConfig::new().with_enabled_roots(), None),
            Self::Fixed(config) => (config, None),
            Self::Watched(mut configs) => {
                let config = configs.borrow_and_update().clone();
                (config, Some(configs))
            }
        };
        match Secure::new(&config, &peer) {
            Ok(secure) => Some(Security {
                secure,
                reload: configs.map(|configs| Reload::new(configs, peer)),
            }),
            Err(texts) => {
                for text in texts {
                    faults.add(setter, text);
                }
                None
            }
        }
    }
}
