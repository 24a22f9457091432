extension Markup {
  /// A page in the looks of all reports that needs nothing but itself, and may load nothing.
  /// - Parameter version: of the program that made it.
  static func page(title: String, version: String, _ body: (inout Markup) -> Void) -> String {
    var page = Markup()
    page.element("html", ["lang": "en"]) { html in
      html.element("head") { head in
        head.empty("meta", ["charset": "utf-8"])
        head.empty("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"])
        head.empty(
          "meta",
          ["http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"])
        head.empty("meta", ["name": "generator", "content": "quern \(version)"])
        head.element("title", title)
        head.style(ReportStyle.sheet)
      }
      html.element("body", [:], body)
    }
    return "<!DOCTYPE html>\n" + page.source
  }
}
