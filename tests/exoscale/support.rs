//! A fake, and clients of it that lose no time.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use berth::clock::Clock;
use berth::cloud;
use berth::exoscale::{Client, CredentialSource, Credentials, Settings};
use berth_cloud_fakes::exoscale::Fake;
use berth_solver::model::Timestamp;

use crate::held::Held;

/// A clock that runs so many times as fast as the machine's, from a fixed moment on.
pub fn fast_clock(speed: f64) -> Clock {
    Clock::running(Timestamp::from_seconds(1_800_000_000), speed)
}

/// A fake whose every exchange is held against the API's description.
pub struct Watched {
    fake: Fake,
    pub held: Held,
}

impl Deref for Watched {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.fake
    }
}

/// A fake that goes by that clock.
pub async fn fake_at(clock: &Clock) -> Watched {
    let clock = clock.clone();
    let now = move || {
        let millis = u64::try_from(clock.now().as_millis()).unwrap();
        UNIX_EPOCH + Duration::from_millis(millis)
    };
    let now: Arc<dyn Fn() -> SystemTime + Send + Sync> = Arc::new(now);
    let fake = Fake::start_with("ch-gva-2", now).await.unwrap();
    Watched { held: Held::of(&fake), fake }
}

/// The fake's key.
pub fn credentials(fake: &Fake) -> CredentialSource {
    let (key, secret) = fake.key();
    CredentialSource::Fixed(Credentials::new(key, secret, "a test").unwrap())
}

/// Settings under which nothing waits for long.
pub fn quick() -> Settings {
    Settings {
        calls: cloud::Settings {
            attempt_timeout: Duration::from_millis(500),
            first_wait: Duration::from_millis(1),
            ..cloud::Settings::default()
        },
        poll_first: Duration::from_millis(1),
        poll_longest: Duration::from_millis(10),
    }
}

/// A client of the fake.
pub fn client(fake: &Fake, clock: &Clock) -> Client {
    Client::new(&fake.endpoint(), credentials(fake), clock.clone(), quick()).unwrap()
}
