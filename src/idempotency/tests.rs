use super::*;
use crate::call::Safety;

// CONTRACT I5
#[test]
fn an_exception_wins_over_a_wider_glob_whichever_was_added_first() {
    let wide = ("/a.A/*", Safety::Idempotent);
    let exception = ("/a.A/P*", Safety::Unknown);
    for order in [[wide, exception], [exception, wide]] {
        let mut policy = IdempotencyPolicy::default();
        for (pattern, safety) in order {
            policy.declare(pattern, safety).unwrap();
        }
        let said = |policy: &IdempotencyPolicy, method| {
            let said = policy.explain(method);
            (said.safety(), said.source().clone())
        };
        let glob = |glob: &str| Source::Glob(glob.to_owned());
        assert_eq!(
            said(&policy, "/a.A/Put"),
            (Safety::Unknown, glob("/a.A/P*"))
        );
        assert_eq!(
            said(&policy, "/a.A/Get"),
            (Safety::Idempotent, glob("/a.A/*"))
        );
        policy.declare("/a.A/Put", Safety::Idempotent).unwrap();
        assert_eq!(
            said(&policy, "/a.A/Put"),
            (Safety::Idempotent, Source::Path)
        );
    }
}
