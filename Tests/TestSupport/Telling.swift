import Foundation

/// Prints a line at once. What `print` prints comes after the last lines of the whole run when they go to a file.
package func tell(_ line: String) {
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}
