//! The table of FIELD.md, section 3, as it is in this build; shown with `--nocapture`.

use peer::{Reason, Stream};

use super::super::SERVER_FEATURE;
use super::{Seen, ended, http, placed, tonics};

#[transports::test]
async fn the_answers_of_this_build() {
    println!("\ntonic with its server feature: {SERVER_FEATURE}");
    line("answer", "status", "ends", "code", "tonic's own code");
    for (name, stream) in all() {
        let seen = Seen::of(stream.clone()).await;
        let place = match (seen.in_head(), seen.in_trailers()) {
            (Some(_), _) => "head",
            (None, Some(_)) => "trailers",
            (None, None) => "nowhere",
        };
        let ends = if seen.is_end_stream { "head" } else { "body" };
        let code = seen.code().map_or("-", grpc_resilience::grpc::Code::name);
        let tonics = tonics(stream).await.map_err(|status| status.code());
        line(&name, place, ends, code, &format!("{tonics:?}"));
    }
}

fn line(answer: &str, status: &str, ends: &str, code: &str, tonics: &str) {
    println!("{answer:<40} {status:<9} {ends:<5} {code:<18} {tonics}");
}

fn all() -> Vec<(String, Stream)> {
    let mut rows = vec![
        ("Trailers-Only".to_owned(), placed::trailers_only()),
        ("HEADERS, TRAILERS".to_owned(), placed::in_trailers(None)),
        (
            "HEADERS, DATA, TRAILERS".to_owned(),
            placed::in_trailers(Some(b"hi")),
        ),
    ];
    for (status, _) in http::CODES {
        rows.push((format!("HTTP {status}, a page"), http::page(status)));
        rows.push((format!("HTTP {status}, empty"), http::bare(status)));
    }
    for (number, (name, stream)) in ended::clean_ends().into_iter().enumerate() {
        let after = if number < 4 { "the head" } else { "a message" };
        rows.push((format!("{name} after {after}"), stream));
    }
    rows.push((
        "RST_STREAM CANCEL after a message".to_owned(),
        ended::reset(Some(b"half"), Reason::CANCEL),
    ));
    rows
}
