//! The navigation: search, and the operations by service.

use super::{Group, html::escape};

const MARK: &str = include_str!("mark.svg");

/// Renders the sidebar, which folds into a bar on a narrow screen.
pub(super) fn render(groups: &[Group<'_>], version: &str) -> String {
    let mut nav = format!(
        "<div class=\"side\">\n<div class=\"bar\"><a class=\"brand\" href=\"#introduction\">{MARK}<span>Mainstay</span>\
         <small>{version}</small></a>\
         <button class=\"menu\" type=\"button\" aria-expanded=\"false\" aria-controls=\"nav\">Menu</button></div>\n\
         <div class=\"drawer\" id=\"nav\">\n\
         <div class=\"search\"><label class=\"hidden\" for=\"search\">Search operations</label>\
         <input id=\"search\" type=\"search\" placeholder=\"Search\" autocomplete=\"off\" spellcheck=\"false\">\
         <kbd aria-hidden=\"true\">/</kbd></div>\n\
         <nav aria-label=\"Operations\">\n<ul class=\"top\"><li><a href=\"#introduction\">Introduction</a></li>\
         <li><a href=\"#errors\">Error catalogue</a></li></ul>\n"
    );
    for group in groups {
        let (name, title) = (escape(group.name), escape(group.title));
        nav += &format!("<div class=\"nav-group\"><a class=\"nav-title\" href=\"#{name}\">{title}</a>\n<ul>\n");
        for operation in &group.operations {
            let (id, method, title) = (operation.id(), operation.method, escape(&operation.title()));
            let short = if method == "delete" { "del" } else { method };
            nav +=
                &format!("<li><a href=\"#{id}\"><span>{title}</span><b class=\"verb {method}\">{short}</b></a></li>\n");
        }
        nav += "</ul></div>\n";
    }
    nav + "</nav>\n</div>\n</div>\n"
}
