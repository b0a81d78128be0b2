//! Steps that do the same as an earlier one, and so need not be called again.

use isobar_config::Effect;

use super::step::Made;
use crate::plan::{Given, HttpBody, OperationWork, Step, Url, Work};

/// Finds steps that do the same as an earlier one.
pub(super) fn twins(made: &mut [Made]) {
    for index in 0..made.len() {
        let (before, rest) = made.split_at_mut(index);
        let Some(own) = rest.first_mut() else {
            continue;
        };
        let step = &own.step;
        let plain = |step: &Step| {
            step.effect == Effect::Read
                && step.each.is_none()
                && step.when.is_none()
                && step.otherwise.is_none()
        };
        let twin = before.iter().position(|other| {
            let other = &other.step;
            plain(step)
                && plain(other)
                && other.twin.is_none()
                && other.timeout == step.timeout
                && other.retry == step.retry
                && other.needs == step.needs
                && same_work(&other.work, &step.work)
        });
        own.step.twin = twin;
    }
}

fn same_work(one: &Work, two: &Work) -> bool {
    match (one, two) {
        (Work::Operation(one), Work::Operation(two)) => same_operation(one, two),
        (
            Work::Composition { plan, with },
            Work::Composition {
                plan: other,
                with: more,
            },
        ) => std::sync::Arc::ptr_eq(plan, other) && same_members(with, more),
        (Work::Http(one), Work::Http(two)) => {
            let headers = |http: &crate::plan::Http| {
                let names: Vec<String> = http
                    .headers
                    .iter()
                    .map(|(name, _)| name.to_string())
                    .collect();
                names
            };
            let urls = match (&one.url, &two.url) {
                (
                    Url::Known { texts, parameters },
                    Url::Known {
                        texts: other,
                        parameters: more,
                    },
                ) => texts == other && same_all(parameters, more),
                (Url::Made(one), Url::Made(two)) => same(one, two),
                _ => false,
            };
            let bodies = match (&one.body, &two.body) {
                (HttpBody::None, HttpBody::None) => true,
                (HttpBody::Json(one), HttpBody::Json(two))
                | (HttpBody::Raw(one), HttpBody::Raw(two)) => same(one, two),
                _ => false,
            };
            one.method == two.method
                && urls
                && bodies
                && same_members(&one.query, &two.query)
                && headers(one) == headers(two)
                && one
                    .headers
                    .iter()
                    .zip(&two.headers)
                    .all(|((_, one), (_, two))| same(one, two))
                && one.bearer == two.bearer
                && one.accept == two.accept
                && one.key == two.key
                && one.most == two.most
        }
        (Work::Race(one), Work::Race(two)) => {
            !one.is_empty()
                && one.len() == two.len()
                && one.iter().zip(two).all(|(one, two)| same_work(one, two))
        }
        _ => false,
    }
}

fn same_operation(one: &OperationWork, two: &OperationWork) -> bool {
    one.contract.name == two.contract.name
        && one.pool == two.pool
        && one.hedge == two.hedge
        && one.cache == two.cache
        && same_members(&one.with, &two.with)
}

fn same_members(one: &[(String, Given)], two: &[(String, Given)]) -> bool {
    one.len() == two.len()
        && one.iter().all(|(name, given)| {
            two.iter()
                .any(|(other, more)| name == other && same(given, more))
        })
}

fn same_all(one: &[Given], two: &[Given]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| same(one, two))
}

fn same(one: &Given, two: &Given) -> bool {
    match (one, two) {
        (Given::Literal(one), Given::Literal(two)) => one == two,
        (Given::Reference(one), Given::Reference(two)) => one.text == two.text,
        (Given::Expression(one), Given::Expression(two)) => one.source() == two.source(),
        (Given::List(one), Given::List(two)) => same_all(one, two),
        (Given::Map(one), Given::Map(two)) => same_members(one, two),
        _ => false,
    }
}
