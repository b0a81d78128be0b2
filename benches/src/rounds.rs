//! Measuring several things by turns: a machine's speed drifts, and only what was measured beside each other can be
//! compared.

use std::{io, time::Instant};

/// Measures every subject once in each round and returns what each gave, in the order of the subjects. Every round begins
/// with another subject. Says on standard error how far it is.
pub fn alternate<S, T>(
    label: &str,
    rounds: usize,
    subjects: &[S],
    mut measure: impl FnMut(&S) -> io::Result<T>,
) -> io::Result<Vec<Vec<T>>> {
    let mut kept: Vec<Vec<T>> = subjects.iter().map(|_| Vec::new()).collect();
    let began = Instant::now();
    for round in 0..rounds {
        for step in 0..subjects.len() {
            let at = (step + round) % subjects.len();
            if let (Some(subject), Some(kept)) = (subjects.get(at), kept.get_mut(at)) {
                kept.push(measure(subject)?);
            }
        }
        let seconds = began.elapsed().as_secs();
        eprintln!("{label}: round {} of {rounds}, {seconds} s", round + 1);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::alternate;

    #[test]
    fn each_round_begins_with_another_and_each_keeps_its_own() {
        let mut order = String::new();
        let kept = alternate("test", 2, &['a', 'b'], |subject| {
            order.push(*subject);
            Ok(order.len())
        });
        assert_eq!(kept.unwrap(), [vec![1, 4], vec![2, 3]]);
        assert_eq!(order, "abba");
    }
}
