//! Three members on loopback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use foreign::Failure;
use rustix::fs::statvfs;
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::member::{Member, Progress, Status, status};

const MEMBERS: usize = 3;
/// How long the cluster may be without one leader for all while no member comes further.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
/// How often a wait shows how far the members are.
const SHOWN: Duration = Duration::from_secs(5);
/// Files in memory: a restarted member that missed much waits for the disk three times before it is
/// ready, also with `--unsafe-no-fsync`, which leaves snapshots out.
const MEMORY: &str = "/dev/shm";
/// What two clusters may take there, in bytes.
const ROOM: u64 = 3 << 30;

pub(crate) struct Cluster {
    program: PathBuf,
    peers: String,
    // Before the folder, which they write to.
    members: Vec<Member>,
    folder: TempDir,
    options: &'static [&'static str],
}

impl Cluster {
    /// Starts the members and waits until all follow one of them.
    pub(crate) async fn start(program: &Path) -> Result<Self, Failure> {
        let options = &[
            // The machine stays up, so that what was written to files outlives a killed process.
            "--unsafe-no-fsync",
            // A restarted member applies the entries since its snapshot again before it serves, and
            // loads the leader's data if it missed more than these.
            "--snapshot-count=2000",
            "--snapshot-catchup-entries=2000",
        ];
        Self::start_with(program, options).await
    }

    /// The same of etcd 3.4, which always writes to the disk.
    pub(crate) async fn start_old(program: &Path) -> Result<Self, Failure> {
        Self::start_with(program, &[]).await
    }

    async fn start_with(program: &Path, options: &'static [&'static str]) -> Result<Self, Failure> {
        let members = (0..MEMBERS)
            .map(Member::new)
            .collect::<Result<Vec<_>, _>>()?;
        let mut cluster = Self {
            program: program.to_owned(),
            peers: members
                .iter()
                .map(Member::peer)
                .collect::<Vec<_>>()
                .join(","),
            members,
            folder: folder()?,
            options,
        };
        cluster.start_all()?;
        cluster.settled().await?;
        Ok(cluster)
    }

    /// Where clients reach the members.
    pub(crate) fn uris(&self) -> Vec<String> {
        self.members.iter().map(Member::uri).collect()
    }

    /// Kills all members but one, which has no quorum then; where to call that one.
    pub(crate) async fn isolate_one(&mut self) -> Result<String, Failure> {
        for number in 1..MEMBERS {
            self.kill(number).await?;
        }
        Ok(self.member(0)?.uri())
    }

    pub(crate) fn restart_others(&mut self) -> Result<(), Failure> {
        (1..MEMBERS).try_for_each(|number| self.restart(number))
    }

    pub(crate) fn start_all(&mut self) -> Result<(), Failure> {
        for number in 0..MEMBERS {
            self.restart(number)?;
        }
        Ok(())
    }

    pub(crate) fn restart(&mut self, number: usize) -> Result<(), Failure> {
        let (program, peers) = (self.program.clone(), self.peers.clone());
        let folder = self.folder.path().to_owned();
        let options = self.options;
        self.member(number)?
            .start(&program, &folder, &peers, options)
    }

    pub(crate) async fn kill(&mut self, number: usize) -> Result<(), Failure> {
        self.member(number)?.kill().await
    }

    pub(crate) async fn kill_all(&mut self) -> Result<(), Failure> {
        for number in 0..MEMBERS {
            self.kill(number).await?;
        }
        Ok(())
    }

    /// A member does nothing any more, and its connections stay, until it is thawed.
    pub(crate) fn freeze(&mut self, number: usize) -> Result<(), Failure> {
        self.member(number)?.signal(Signal::STOP)
    }

    pub(crate) fn thaw(&mut self, number: usize) -> Result<(), Failure> {
        self.member(number)?.signal(Signal::CONT)
    }

    fn member(&mut self, number: usize) -> Result<&mut Member, Failure> {
        let found = self.members.get_mut(number);
        found.ok_or_else(|| format!("there is no member {number}").into())
    }

    /// Waits until all members are up and follow one leader; its number.
    pub(crate) async fn settled(&self) -> Result<usize, Failure> {
        self.until("agree on no leader", |statuses| {
            let leader = leader(statuses)?;
            let agreed = statuses
                .iter()
                .all(|it| it.is_some_and(|it| it.leader == Some(leader)));
            let mut ids = statuses.iter().map(|it| it.map(|it| it.id));
            ids.position(|it| it == Some(leader)).filter(|_| agreed)
        })
        .await
    }

    /// Waits until a member answers and leads; the moment.
    pub(crate) async fn led(&self) -> Result<Instant, Failure> {
        self.until("find no leader", |statuses| {
            leader(statuses).map(|_| Instant::now())
        })
        .await
    }

    /// Waits until the members' statuses show something, for as long as a member comes further.
    async fn until<T>(
        &self,
        failure: &str,
        show: impl Fn(&[Option<Status>]) -> Option<T>,
    ) -> Result<T, Failure> {
        let uris = self.uris();
        let (mut since, mut shown) = (Instant::now(), Instant::now());
        let mut last = Vec::new();
        loop {
            let statuses = statuses(&uris).await?;
            if let Some(found) = show(&statuses) {
                return Ok(found);
            }
            if shown.elapsed() >= SHOWN {
                let progress = self.progress(&statuses).await;
                println!("  the members {failure} yet: {statuses:?}, {progress:?}");
                shown = Instant::now();
                if progress != last {
                    since = Instant::now();
                }
                last = progress;
            }
            if since.elapsed() >= PATIENCE {
                let logs: String = self.members.iter().map(Member::log).collect();
                return Err(format!("the members {failure}: {statuses:?}\n{logs}").into());
            }
            sleep(POLL).await;
        }
    }

    /// How far the members are that serve no client yet.
    async fn progress(&self, statuses: &[Option<Status>]) -> Vec<Option<Progress>> {
        let mut all = Vec::new();
        for (member, status) in self.members.iter().zip(statuses) {
            all.push(match status {
                Some(_) => None,
                None => Some(member.progress().await),
            });
        }
        all
    }
}

/// What the members at these URIs say of themselves.
pub(crate) async fn statuses(uris: &[String]) -> Result<Vec<Option<Status>>, Failure> {
    let mut asked = JoinSet::new();
    for (number, uri) in uris.iter().cloned().enumerate() {
        asked.spawn(async move { (number, status(uri).await) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_unstable_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

/// The id of the member that leads, as it says itself.
pub(crate) fn leader(statuses: &[Option<Status>]) -> Option<u64> {
    let mut up = statuses.iter().flatten();
    up.find(|it| it.leader == Some(it.id)).map(|it| it.id)
}

/// In memory if there is room.
fn folder() -> Result<TempDir, Failure> {
    let room = statvfs(MEMORY).map_or(0, |it| it.f_bavail * it.f_frsize);
    Ok(if room >= ROOM {
        tempfile::tempdir_in(MEMORY)?
    } else {
        tempfile::tempdir()?
    })
}
