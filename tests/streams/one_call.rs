//! One call at a time, and nothing that grows.

use std::sync::atomic::Ordering::SeqCst;

use grpc_resilience::streams::OnEnd;
use tokio::runtime::Handle;
use tonic::Status;
use transports::Transport;

use crate::net::{Net, Sent};
use crate::numbers::{Service, Step, steps};
use crate::{ms, numbers, take};

// CONTRACT S5
#[transports::test(start_paused = true)]
async fn the_reset_of_a_stream_leaves_before_the_next_one_opens() {
    let service = Service::new(|asked| steps([Step::Token(asked.first()), Step::Hang]));
    let net = Net::new(&service);
    let builder = numbers(net.channel()).idle_timeout(ms(1_000));
    let mut stream = builder.build().unwrap();
    take(&mut stream, 50).await;
    let passed = net.passed.lock().unwrap();
    let sent: Vec<_> = passed.sent.iter().map(|(sent, _)| *sent).collect();
    let expected: Vec<_> = (0..99)
        .map(|at| [Sent::Headers, Sent::Reset][at % 2])
        .collect();
    assert_eq!(sent, expected);
    assert_eq!(passed.dials, 1);
}

// CONTRACT S5
#[transports::test(start_paused = true)]
async fn a_thousand_reopens_leave_connections_and_tasks_as_they_were() {
    // Each kind of end in turn.
    let service = Service::new(|asked| {
        let token = Step::Token(asked.first());
        let end = match asked.call % 4 {
            0 => Step::Hang,
            1 => Step::Fail(Status::unavailable("restarting")),
            2 => Step::Fail(Status::internal("broke off")),
            _ => return steps([token]),
        };
        steps([token, end])
    });
    let net = Net::new(&service);
    let builder = numbers(net.channel()).idle_timeout(ms(1_000));
    let mut stream = builder.on_end(OnEnd::Reopen).build().unwrap();
    take(&mut stream, 20).await;
    let metrics = Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    take(&mut stream, 1_000).await;
    let (after, open) = (metrics.num_alive_tasks(), net.passed.lock().unwrap().open);
    println!(
        "{:?}: {tasks} tasks before, {after} after; {open} connection",
        Transport::current()
    );
    assert!(after <= tasks + 1, "{tasks} {after}");
    assert_eq!(net.passed.lock().unwrap().dials, 1);
    assert_eq!(open, 1);
    assert!(service.seen.open.load(SeqCst) <= 1);
    assert!(stream.report().reopens() >= 1_000);
    assert_eq!(stream.report().failures().len(), 16);
}

// CONTRACT S5
#[transports::test(start_paused = true)]
async fn connections_that_die_are_replaced_and_do_not_add_up() {
    let service = Service::new(|asked| {
        steps(
            (asked.first()..)
                .take(50)
                .flat_map(|it| [Step::Token(it), Step::Wait(ms(1))]),
        )
    });
    let net = Net::cut(&service, std::sync::Arc::new(|_| Some(30)));
    let builder = numbers(net.channel()).on_end(OnEnd::Reopen);
    let mut stream = builder.build().unwrap();
    take(&mut stream, 200).await;
    let metrics = Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    take(&mut stream, 10_000).await;
    let (dials, open) = {
        let passed = net.passed.lock().unwrap();
        (passed.dials, passed.open)
    };
    let after = metrics.num_alive_tasks();
    println!("{dials} connections one after another; {tasks} tasks before, {after} after");
    assert!(dials > 300, "{dials}");
    assert!(open <= 2, "{open}");
    assert!(after <= tasks + 4, "{tasks} {after}");
}
