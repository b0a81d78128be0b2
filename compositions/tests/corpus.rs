//! x
use isobar_compositions::{Known, check, library};
use isobar_config::{Environment, Source};
use std::{io, path::Path};
struct Nothing;
impl Environment for Nothing {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
    fn file(&self, _: &Path) -> io::Result<String> {
        Err(io::ErrorKind::NotFound.into())
    }
}
#[test]
fn library_is_good() {
    for (name, text) in library() {
        let source = Source {
            name: format!("{name}.yaml"),
            text: (*text).to_owned(),
        };
        let (plans, report) = check(&[source], &Known::default(), &Nothing);
        println!("{}", report.text(false));
        for plan in &plans {
            for step in &plan.steps {
                println!(
                    "{} {:?} twin {:?} needed {}",
                    step.name, step.needs, step.twin, step.needed
                );
            }
        }
        assert!(report.is_empty() && plans.len() == 1, "{name}");
    }
}
