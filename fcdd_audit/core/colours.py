"""Colours that several parts share."""

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R 601, as Pillow turns colour into grey
OUTLINE = (255, 64, 160)  # of a mask on a picture
# Of signed maps: what raises a score and what lowers it, told apart with any kind of colour vision, and what
# does neither. templates/report.css has them too.
RAISES, LOWERS, NEITHER = (255, 200, 60), (150, 140, 255), (22, 22, 26)
