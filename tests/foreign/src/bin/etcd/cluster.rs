//! Three members on loopback.

use std::path::{Path, PathBuf};
use std::time::Duration;

use foreign::Failure;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tonic::transport::Endpoint;

use crate::member::{Member, Status};

const MEMBERS: usize = 3;
/// How long the cluster may take to have a leader whom all follow.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

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
        // The machine stays up, so that what was written to files outlives a killed process.
        Self::start_with(program, &["--unsafe-no-fsync"]).await
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
            folder: tempfile::tempdir()?,
            options,
        };
        cluster.start_all()?;
        cluster.settled().await?;
        Ok(cluster)
    }

    pub(crate) fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        self.members.iter().map(Member::endpoint).collect()
    }

    /// Kills all members but one, which has no quorum then; where to call that one.
    pub(crate) async fn isolate_one(&mut self) -> Result<Endpoint, Failure> {
        for number in 1..MEMBERS {
            self.kill(number).await?;
        }
        self.member(0)?.endpoint()
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

    fn member(&mut self, number: usize) -> Result<&mut Member, Failure> {
        let found = self.members.get_mut(number);
        found.ok_or_else(|| format!("there is no member {number}").into())
    }

    /// Waits until all members are up and follow one leader; its number.
    pub(crate) async fn settled(&self) -> Result<usize, Failure> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let statuses = self.statuses().await?;
            let leader = statuses.iter().flatten().find_map(|it| it.leader);
            let agreed = statuses
                .iter()
                .all(|it| it.is_some_and(|it| it.leader == leader));
            let number = statuses.iter().position(|it| it.map(|it| it.id) == leader);
            if let (true, Some(_), Some(number)) = (agreed, leader, number) {
                return Ok(number);
            }
            sleep(POLL).await;
        }
        let statuses = self.statuses().await?;
        let logs: String = self.members.iter().map(Member::log).collect();
        Err(format!("the members agree on no leader: {statuses:?}\n{logs}").into())
    }

    /// Waits until a member answers and follows a leader; the moment.
    pub(crate) async fn led(&self) -> Result<Instant, Failure> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let statuses = self.statuses().await?;
            if statuses.iter().flatten().any(|it| it.leader.is_some()) {
                return Ok(Instant::now());
            }
            sleep(POLL).await;
        }
        Err("no member has found a leader".into())
    }

    async fn statuses(&self) -> Result<Vec<Option<Status>>, Failure> {
        let mut statuses = Vec::new();
        for member in &self.members {
            statuses.push(member.status().await?);
        }
        Ok(statuses)
    }
}
