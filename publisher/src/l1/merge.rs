//! One verdict out of those of all backends that were handed the same bytes.

use crate::classify::{RefusalClass, Verdict};

/// What the backends' answers mean together.
///
/// | among the answers | together |
/// |---|---|
/// | an acceptance | accepted |
/// | no acceptance, and one that is ambiguous | ambiguous: it frees no nonce |
/// | refusals alone | refused, for the reason that comes first in the order of `rank` |
///
/// The words of all who did not accept are told, each behind its backend's name; a single answer stays as it is.
pub(super) fn merge(mut answers: Vec<(String, Verdict)>) -> Verdict {
    if answers.iter().any(|(_, verdict)| *verdict == Verdict::Accepted) {
        return Verdict::Accepted;
    }
    if answers.len() <= 1 {
        let nobody = || Verdict::Ambiguous { why: "no backend of our chain has answered".to_owned() };
        return answers.pop().map_or_else(nobody, |(_, verdict)| verdict);
    }
    let words = answers.iter().map(|(name, verdict)| format!("{name}: {}", words_of(verdict)));
    let words = words.collect::<Vec<_>>().join("; ");
    let classes: Option<Vec<_>> = answers.iter().map(|(_, verdict)| verdict.class()).collect();
    match classes.and_then(|classes| classes.into_iter().min_by_key(|class| rank(*class))) {
        Some(class) => Verdict::Refused { class, message: words },
        None => Verdict::Ambiguous { why: words },
    }
}

/// Which of several reasons decides: what is said of the nonce before what is said of the bid, the pool and the balance,
/// since no other bid and no waiting helps where the nonce is used or held. What says that the transaction can never be
/// valid comes last: it ends the request, and another node sees it otherwise.
const fn rank(class: RefusalClass) -> u8 {
    match class {
        RefusalClass::NonceTooLow => 0,
        RefusalClass::ReplacementUnderpriced => 1,
        RefusalClass::OtherTypePooled => 2,
        RefusalClass::NonceTooHigh => 3,
        RefusalClass::Underpriced => 4,
        RefusalClass::FeeCapTooLow => 5,
        RefusalClass::NodeFeeCap => 6,
        RefusalClass::AccountLimit => 7,
        RefusalClass::PoolFull => 8,
        RefusalClass::InsufficientFunds => 9,
        RefusalClass::Format => 10,
        RefusalClass::Shape => 11,
    }
}

fn words_of(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Ambiguous { why } => why,
        Verdict::Refused { message, .. } => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the order in which they decide.
    const CLASSES: [RefusalClass; 12] = [
        RefusalClass::NonceTooLow,
        RefusalClass::ReplacementUnderpriced,
        RefusalClass::OtherTypePooled,
        RefusalClass::NonceTooHigh,
        RefusalClass::Underpriced,
        RefusalClass::FeeCapTooLow,
        RefusalClass::NodeFeeCap,
        RefusalClass::AccountLimit,
        RefusalClass::PoolFull,
        RefusalClass::InsufficientFunds,
        RefusalClass::Format,
        RefusalClass::Shape,
    ];

    fn every_verdict() -> Vec<Verdict> {
        let refused = |class: RefusalClass| Verdict::Refused { class, message: format!("{class:?}") };
        let others = [Verdict::Accepted, Verdict::Ambiguous { why: "no answer".to_owned() }];
        others.into_iter().chain(CLASSES.into_iter().map(refused)).collect()
    }

    fn of_two(one: &Verdict, other: &Verdict) -> Verdict {
        merge(vec![("a".to_owned(), one.clone()), ("b".to_owned(), other.clone())])
    }

    #[test]
    fn of_any_two_an_acceptance_wins_then_doubt_and_refusals_by_their_order() {
        for one in every_verdict() {
            for other in every_verdict() {
                let both = of_two(&one, &other);
                let has = |verdict: &Verdict| one == *verdict || other == *verdict;
                let doubts = [&one, &other].iter().any(|verdict| matches!(verdict, Verdict::Ambiguous { .. }));
                let expected = CLASSES.into_iter().find(|class| [one.class(), other.class()].contains(&Some(*class)));
                match &both {
                    Verdict::Accepted => assert!(has(&Verdict::Accepted)),
                    Verdict::Ambiguous { .. } => assert!(doubts && !has(&Verdict::Accepted), "{one:?} {other:?}"),
                    Verdict::Refused { class, message } => {
                        assert!(!doubts && !has(&Verdict::Accepted), "{one:?} {other:?}");
                        assert_eq!(Some(*class), expected, "{one:?} {other:?}");
                        assert_eq!(*message, format!("a: {}; b: {}", words_of(&one), words_of(&other)));
                    }
                }
                assert_eq!(of_two(&other, &one).class(), both.class(), "the order of the backends decides nothing");
            }
        }
    }

    #[test]
    fn a_reason_is_final_only_where_every_backend_names_a_final_one() {
        for one in CLASSES {
            for other in CLASSES {
                let refused = |class| Verdict::Refused { class, message: String::new() };
                let is_final = of_two(&refused(one), &refused(other)).class().is_some_and(RefusalClass::is_final);
                assert_eq!(is_final, one.is_final() && other.is_final(), "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn the_words_of_doubt_name_who_said_them_and_a_single_answer_stays_as_it_is() {
        let doubt = Verdict::Ambiguous { why: "no answer".to_owned() };
        let full = Verdict::Refused { class: RefusalClass::PoolFull, message: "txpool is full".to_owned() };
        let both = Verdict::Ambiguous { why: "a: no answer; b: txpool is full".to_owned() };
        assert_eq!(of_two(&doubt, &full), both);
        for verdict in every_verdict() {
            assert_eq!(merge(vec![("a".to_owned(), verdict.clone())]), verdict);
        }
        assert!(matches!(merge(Vec::new()), Verdict::Ambiguous { .. }));
    }
}
