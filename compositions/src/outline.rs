//! A plan as people look at it: stages, a graph as text, Mermaid and SVG, and what it can cost in time and calls.

use std::{fmt::Write as _, time::Duration};

use crate::plan::{Failed, Plan, Step, Work};

/// Width and height of a box, and the room between boxes, in SVG.
const BOX: (usize, usize) = (210, 54);
const ROOM: (usize, usize) = (60, 26);

impl Plan {
    /// Steps that can run at once, stage by stage: each is as early as what it needs allows.
    pub fn stages(&self) -> Vec<Vec<usize>> {
        let mut level = vec![0_usize; self.steps.len()];
        // Needs may be written later in the file, so levels settle in at most as many rounds as there are steps.
        for _ in 0..self.steps.len() {
            let mut changed = false;
            for (index, step) in self.steps.iter().enumerate() {
                let after = step
                    .needs
                    .iter()
                    .filter_map(|need| level.get(*need))
                    .map(|level| level + 1)
                    .max()
                    .unwrap_or(0);
                if let Some(own) = level.get_mut(index)
                    && *own < after
                {
                    *own = after;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        let count = level.iter().max().map_or(0, |most| most + 1);
        let mut stages = vec![Vec::new(); count];
        for (index, level) in level.into_iter().enumerate() {
            if let Some(stage) = stages.get_mut(level) {
                stage.push(index);
            }
        }
        stages
    }

    /// The longest that a run can take: the deadline, or the sum of the steps' own times along the longest way if that is
    /// shorter.
    pub fn worst_time(&self) -> Duration {
        let mut until: Vec<Duration> = vec![Duration::ZERO; self.steps.len()];
        for stage in self.stages() {
            for index in stage {
                let Some(step) = self.steps.get(index) else {
                    continue;
                };
                let before = step
                    .needs
                    .iter()
                    .filter_map(|need| until.get(*need))
                    .max()
                    .copied()
                    .unwrap_or_default();
                let own = step.timeout.unwrap_or(self.deadline);
                if let Some(place) = until.get_mut(index) {
                    *place = before.saturating_add(own).min(self.deadline);
                }
            }
        }
        until.into_iter().max().unwrap_or_default()
    }

    /// The graph in Mermaid's language.
    pub fn mermaid(&self) -> String {
        let mut text = "flowchart LR\n".to_owned();
        for step in &self.steps {
            let label = format!("{}<br/>{}", step.name, step.work.label()).replace('"', "'");
            let (open, close) = if step.when.is_some() {
                ("{{", "}}")
            } else {
                ("[", "]")
            };
            let _ = writeln!(text, "  {}{open}\"{label}\"{close}", step.name);
        }
        for step in &self.steps {
            for need in step.needs.iter().filter_map(|need| self.steps.get(*need)) {
                let _ = writeln!(text, "  {} --> {}", need.name, step.name);
            }
        }
        text
    }

    /// The graph as a picture.
    pub fn svg(&self) -> String {
        let stages = self.stages();
        let rows = stages.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let (width, height) = (
            stages.len() * (BOX.0 + ROOM.0) + ROOM.0,
            rows * (BOX.1 + ROOM.1) + ROOM.1,
        );
        let mut place = vec![(0_usize, 0_usize); self.steps.len()];
        for (column, stage) in stages.iter().enumerate() {
            let top = usize::midpoint(height - stage.len() * (BOX.1 + ROOM.1), ROOM.1);
            for (row, index) in stage.iter().enumerate() {
                if let Some(place) = place.get_mut(*index) {
                    *place = (
                        ROOM.0 / 2 + column * (BOX.0 + ROOM.0),
                        top + row * (BOX.1 + ROOM.1),
                    );
                }
            }
        }
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n<title>{}</title>\n\
             <defs><marker id=\"tip\" markerWidth=\"8\" markerHeight=\"8\" refX=\"7\" refY=\"4\" orient=\"auto\">\
             <path d=\"M0,0 L8,4 L0,8 z\" fill=\"#64748b\"/></marker></defs>\n",
            escaped(&self.name)
        );
        for (index, step) in self.steps.iter().enumerate() {
            let Some(&(x, y)) = place.get(index) else {
                continue;
            };
            for &(from_x, from_y) in step.needs.iter().filter_map(|need| place.get(*need)) {
                let (x1, y1, y2) = (from_x + BOX.0, from_y + BOX.1 / 2, y + BOX.1 / 2);
                let middle = usize::midpoint(x1, x);
                let _ = writeln!(
                    text,
                    "<path d=\"M{x1},{y1} C{middle},{y1} {middle},{y2} {x},{y2}\" fill=\"none\" stroke=\"#64748b\" marker-end=\"url(#tip)\"/>"
                );
            }
            let dash = if step.when.is_some() {
                " stroke-dasharray=\"5 3\""
            } else {
                ""
            };
            let _ = writeln!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"8\" fill=\"#f1f5f9\" stroke=\"#334155\"{dash}/>\n\
                 <text x=\"{}\" y=\"{}\" font-weight=\"bold\" fill=\"#0f172a\">{}</text>\n\
                 <text x=\"{}\" y=\"{}\" fill=\"#475569\">{}</text>",
                BOX.0,
                BOX.1,
                x + 12,
                y + 22,
                escaped(&step.name),
                x + 12,
                y + 42,
                escaped(&shortened(&step.work.label(), 28)),
            );
        }
        text.push_str("</svg>\n");
        text
    }
}

impl Step {
    /// Most calls of the step: items, ways and tries.
    pub fn most_calls(&self) -> u32 {
        let ways = match &self.work {
            Work::Race(ways) => u32::try_from(ways.len()).unwrap_or(u32::MAX),
            Work::Composition { plan, .. } => plan.steps.iter().map(Self::most_calls).sum(),
            Work::Operation(_) | Work::Http(_) => 1,
        };
        let items = self.each.as_ref().map_or(1, |each| each.most);
        let tries = 1 + self.retry.map_or(0, |retry| retry.times);
        ways.saturating_mul(items).saturating_mul(tries)
    }

    /// What is special about it, in words: `if …`, `for each …`, `or else …`.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(when) = &self.when {
            remarks.push(format!("only if {}", when.source()));
        }
        if let Some(each) = &self.each {
            let failed = match each.failed {
                Failed::Stop => "",
                Failed::Null => ", failed ones are null",
                Failed::Drop => ", failed ones are dropped",
            };
            remarks.push(format!(
                "for each of at most {}, {} at once{failed}",
                each.most, each.at_once
            ));
        }
        if let Some(timeout) = self.timeout {
            remarks.push(format!("within {timeout:?}"));
        }
        if let Some(retry) = self.retry {
            remarks.push(format!("tried {} times more", retry.times));
        }
        if self.otherwise.is_some() {
            remarks.push("has an otherwise".to_owned());
        }
        if let Some(undo) = &self.undo {
            remarks.push(format!("undone by {}", undo.work.label()));
        }
        remarks
    }
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let start: String = text.chars().take(most - 1).collect();
    format!("{start}…")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
