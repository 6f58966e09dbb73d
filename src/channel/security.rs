//! Which TLS settings a channel was given, checked.

use tokio::sync::watch;

use super::connect::{PeerName, Secure, TlsConfig};
use super::reload::Reload;
use crate::error::Faults;

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
    /// Whether there are settings, which turn TLS on where the target says nothing of it.
    pub(super) fn is_set(&self) -> bool {
        !matches!(self, Self::Target)
    }

    /// Whether connections have TLS; the target has it or not.
    pub(super) fn is_on(&self, is_target_tls: bool) -> bool {
        is_target_tls || self.is_set()
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
        is_target_plain: bool,
        peer: PeerName,
        faults: &mut Faults,
    ) -> Option<Security> {
        let setter = self.setter();
        faults.check(setter, !is_target_plain, || {
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
